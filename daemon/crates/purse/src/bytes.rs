//! Taking fixed-size parts off the front of data whose length was checked before.

/// The first `N` bytes and the rest. The caller has checked that there are so many.
pub(crate) fn take<const N: usize>(data: &[u8]) -> ([u8; N], &[u8]) {
    let (first, rest) = data
        .split_first_chunk()
        .expect("the layout is shorter than the length that was checked");
    (*first, rest)
}
