//! What a fuzzer calls: every decoder of this crate, on any bytes.

use crate::{Content, Head};

/// Decodes the bytes as an entry and as a head. What decodes, encodes and decodes to the same again.
///
/// # Panics
/// When it does not: a finding.
pub fn fuzz(data: &[u8]) {
    if let Ok(content) = Content::decode(data) {
        let again = Content::decode(&content.encode()).expect("what was encoded decodes");
        assert!(again == content, "an entry changes when it is stored again");
    }
    let text = String::from_utf8_lossy(data);
    if let Ok(head) = text.parse::<Head>() {
        assert!(
            head.to_string().parse() == Ok(head),
            "a head changes when it is shown"
        );
    }
}
