//! How the provider learns who asks: it calls back (S7, S10, S11, S31 to S33).

mod message;

pub use message::{
    Answer, CHANNEL_BINDING_BYTES, Challenge, ChannelBinding, Nonce, Purpose, Request, RequestId,
    SIGNATURE_BYTES_MAX, Ticket,
};
