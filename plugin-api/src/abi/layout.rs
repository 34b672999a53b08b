//! Layout of the mirror: asserted here when this crate is compiled, and against the header by a C compiler in the tests.

use std::mem::{offset_of, size_of};

use super::{Buffer, Call, Card, CardReader1, DriverEntry, Event, Host, PinPad1, PinRequest};

/// Where one field lies.
#[derive(Clone, Copy, Debug)]
pub struct FieldLayout {
    /// The header's name of the field.
    pub name: &'static str,
    /// Its offset, in bytes.
    pub offset: usize,
}

/// How one struct lies in memory.
#[derive(Clone, Copy, Debug)]
pub struct StructLayout {
    /// The header's name of the struct, without `struct`.
    pub name: &'static str,
    /// Its size, in bytes.
    pub size: usize,
    /// Its fields in order.
    pub fields: &'static [FieldLayout],
}

macro_rules! layouts {
    ($($c_name:literal, $type:ty, $size:literal { $($field:ident: $offset:literal,)* })*) => {
        // The literals are those of 64-bit targets; on others the C test alone compares both sides.
        #[cfg(target_pointer_width = "64")]
        const _: () = {
            $(
                assert!(size_of::<$type>() == $size);
                $(assert!(offset_of!($type, $field) == $offset);)*
            )*
        };

        /// Every struct of the contract, as this compiler lays it out.
        pub const LAYOUT: &[StructLayout] = &[$(
            StructLayout {
                name: $c_name,
                size: size_of::<$type>(),
                fields: &[$(
                    FieldLayout { name: stringify!($field), offset: offset_of!($type, $field) },
                )*],
            },
        )*];
    };
}

layouts! {
    "purser_buffer", Buffer, 16 { data: 0, capacity: 8, length: 12, }
    "purser_call", Call, 24 { struct_size: 0, deadline_ms: 4, number: 8, detail: 16, }
    "purser_event", Event, 40 {
        struct_size: 0, kind: 4, slot: 8, pin_digits: 12, classes: 16, interfaces: 20, name_length: 24,
        reserved: 28, name: 32,
    }
    "purser_host", Host, 32 { struct_size: 0, abi_major: 4, abi_minor: 8, reserved: 12, emit: 16, log: 24, }
    "purser_driver_entry", DriverEntry, 72 {
        struct_size: 0, abi_major: 4, abi_minor: 8, reserved: 12, id: 16, version: 24, id_length: 32,
        version_length: 36, get_extension: 40, create: 48, destroy: 56, cancel: 64,
    }
    "purser_card", Card, 56 {
        struct_size: 0, connection: 4, protocol: 8, contactless: 12, atr_length: 16, atr: 20, reserved: 53,
    }
    "purser_card_reader_1", CardReader1, 32 {
        struct_size: 0, reserved: 4, connect: 8, transmit: 16, disconnect: 24,
    }
    "purser_pin_request", PinRequest, 64 {
        struct_size: 0, format: 4, digits_min: 8, digits_max: 12, amount_minor: 16, currency: 24,
        minor_digits: 28, tries_left: 32, block_format: 36, key_id_length: 40, account_length: 44,
        key_id: 48, account: 56,
    }
    "purser_pin_pad_1", PinPad1, 16 { struct_size: 0, reserved: 4, enter_pin: 8, }
}
