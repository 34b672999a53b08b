//! `purser-lab`: the lab's program.

fn main() {}
