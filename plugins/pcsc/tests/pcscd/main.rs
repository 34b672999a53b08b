//! The driver against the real pcscd, with the lab's card behind vpcd. Each test runs in namespaces of its own, see
//! `with-pcscd.sh`: they need root, and the packages that script names.

mod cards;
mod dialogue;
mod exclusive;
mod readers;
mod recovery;
mod support;
