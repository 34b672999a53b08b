//! A fault as a D-Bus error: its name, and a text with its cause and its remedy.

use zbus::DBusError;
use zbus::message::{Header, Message};
use zbus::names::ErrorName;

use crate::model::{Fault, INTERFACE};

/// The error.
#[derive(Debug)]
pub(super) struct Refusal {
    name: String,
    text: String,
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        let argument = fault
            .argument
            .as_ref()
            .map(|name| format!("{name}: "))
            .unwrap_or_default();
        Self {
            name: format!("{INTERFACE}.Error.{}", fault.name),
            text: format!("{argument}{fault}"),
        }
    }
}

impl DBusError for Refusal {
    fn create_reply(&self, call: &Header<'_>) -> zbus::Result<Message> {
        Message::error(call, self.name()).build(&(self.text.as_str(),))
    }

    fn name(&self) -> ErrorName<'_> {
        ErrorName::from_str_unchecked(&self.name)
    }

    fn description(&self) -> Option<&str> {
        Some(&self.text)
    }
}
