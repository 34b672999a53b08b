//! Entries for fuzzers: any bytes may be given, and nothing may panic.

use purser_driver_wire::{Call, CallId, Command, ConnectionNumber, Reply, Response, SlotId};

use crate::{Masker, header, lines};

/// Reads `data` as a recording, with and without its first line, and checks that what was read is written the same; then
/// masks it as a command and as a response.
pub fn fuzz(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for text in [text.clone().into_owned(), header() + &text] {
        if let Ok((entries, _)) = lines(&text) {
            let again: String = entries.iter().map(crate::Entry::line).collect();
            let (read_again, _) = lines(&(header() + &again)).expect("what was written is a recording");
            assert_eq!(read_again, entries, "a line changes when it is written again");
        }
    }
    let mut masker = Masker::default();
    if let Ok(command) = Command::new(data) {
        let call = Call::Transmit {
            slot: SlotId(0),
            connection: ConnectionNumber(1),
            command,
        };
        drop(masker.call(CallId(1), &call));
    }
    if let Ok(response) = Response::new(data) {
        drop(masker.answer(CallId(1), &Ok(Reply::Response(response))));
    }
}
