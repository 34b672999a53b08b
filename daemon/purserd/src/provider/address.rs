//! Where the provider is.

use std::fmt;
use std::str::FromStr;

use rustls::pki_types::ServerName;

/// The name in every terminal's certificate: an address with it would take any terminal for the provider.
const TERMINAL_DNS_NAME: &str = "terminal.purser.internal";

/// The provider's host and port. Its certificate must be good for the host.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    host: String,
    port: u16,
    name: ServerName<'static>,
}

/// Why a text is no provider's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// No host, or no port.
    #[error("expected HOST:PORT, such as \"provider.example:7443\" or \"[2001:db8::1]:7443\"")]
    Form,
    /// The name that all terminals have.
    #[error("\"{TERMINAL_DNS_NAME}\" is the name of every terminal, and cannot be the provider's")]
    Terminal,
}

impl AddressError {
    /// False: the same text gives the same answer.
    pub fn is_transient(self) -> bool {
        match self {
            Self::Form | Self::Terminal => false,
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (host, port) = text.rsplit_once(':').ok_or(AddressError::Form)?;
        let port: u16 = port.parse().map_err(|_| AddressError::Form)?;
        let bare = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
        // An IPv6 address without its brackets would lose its last group to the port.
        if bare.is_none() && host.contains(':') {
            return Err(AddressError::Form);
        }
        let host = bare.unwrap_or(host);
        let name = ServerName::try_from(host.to_owned()).map_err(|_| AddressError::Form)?;
        if port == 0 {
            return Err(AddressError::Form);
        }
        if host.trim_end_matches('.').eq_ignore_ascii_case(TERMINAL_DNS_NAME) {
            return Err(AddressError::Terminal);
        }
        Ok(Self {
            host: host.to_owned(),
            port,
            name,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

impl Address {
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// What the provider's certificate must be good for.
    pub(super) fn server_name(&self) -> ServerName<'static> {
        self.name.clone()
    }

    /// For the header `host`.
    pub(super) fn host_header(&self) -> String {
        self.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for (text, host) in [
            ("provider.example:7443", "provider.example"),
            ("192.0.2.1:7443", "192.0.2.1"),
            ("[2001:db8::1]:7443", "2001:db8::1"),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!((address.host(), address.port()), (host, 7443));
            assert_eq!(address.to_string(), text);
        }
        for text in [
            "provider.example",
            "https://provider.example",
            ":7443",
            "p:0",
            "p:x",
            "2001:db8::1:7443",
            "",
        ] {
            assert_eq!(text.parse::<Address>(), Err(AddressError::Form), "{text}");
        }
    }

    #[test]
    fn the_terminals_own_name_is_no_providers_address() {
        for text in ["terminal.purser.internal:1", "Terminal.Purser.Internal.:1"] {
            assert_eq!(text.parse::<Address>(), Err(AddressError::Terminal), "{text}");
        }
    }
}
