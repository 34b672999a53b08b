//! Cards on disk and in a reader: the store, the vpcd protocol, the control socket and the program.

#[cfg(test)]
mod bench;
#[cfg(test)]
mod control;
mod insertion;
#[cfg(test)]
mod kill;
#[cfg(test)]
mod program;
#[cfg(test)]
mod psam;
mod store;
