//! D-Bus
