//! A Varlink client that knows nothing of ours and blocks: JSON and a zero byte. Good and bad messages alike.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use purser_lab::stack::PATIENCE;
use serde_json::{Value, json};

use crate::Fault;

/// A connection.
#[derive(Debug)]
pub struct Raw {
    stream: UnixStream,
    buffer: Vec<u8>,
}

impl Raw {
    /// Connects.
    ///
    /// # Errors
    /// The system's.
    pub fn connect(socket: &Path) -> Result<Self, Fault> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream,
            buffer: Vec::new(),
        })
    }

    /// The socket, for who wants to do something else with it.
    pub fn stream(&mut self) -> &mut UnixStream {
        &mut self.stream
    }

    /// Sends a call of this method of ours, and does not wait for the answer.
    ///
    /// # Errors
    /// The connection is closed.
    pub fn send(&mut self, method: &str, parameters: &Value, more: bool) -> Result<(), Fault> {
        let method = format!("org.purser.Purser1.{method}");
        let call = json!({ "method": method, "parameters": parameters, "more": more });
        self.send_bytes(format!("{call}\0").as_bytes())
    }

    /// Sends anything.
    ///
    /// # Errors
    /// The connection is closed.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        Ok(self.stream.write_all(bytes)?)
    }

    /// The next message; none when the connection is closed.
    ///
    /// # Errors
    /// None came in time, or it is no JSON.
    pub fn receive(&mut self) -> Result<Option<Value>, Fault> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == 0) {
                let message: Vec<u8> = self.buffer.drain(..=end).collect();
                return Ok(Some(serde_json::from_slice(&message[..end])?));
            }
            let mut chunk = [0; 4096];
            match self.stream.read(&mut chunk) {
                Ok(0) => return Ok(None),
                Ok(read) => self.buffer.extend_from_slice(&chunk[..read]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Calls and waits for the answer: the parameters, or the last part of the error's name with them.
    ///
    /// # Errors
    /// No answer comes.
    pub fn call(
        &mut self,
        method: &str,
        parameters: &Value,
    ) -> Result<Result<Value, (String, Value)>, Fault> {
        self.send(method, parameters, false)?;
        let mut message = self.receive()?.ok_or("the connection is closed")?;
        let told = message["parameters"].take();
        Ok(match message["error"].as_str() {
            None => Ok(told),
            Some(error) => Err((error.rsplit('.').next().unwrap_or_default().to_owned(), told)),
        })
    }
}
