//! A Varlink client that knows nothing of ours: JSON and a zero byte.

use std::path::Path;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

pub(crate) struct Raw {
    stream: UnixStream,
    buffer: Vec<u8>,
}

impl Raw {
    pub(crate) async fn connect(path: &Path) -> Self {
        let stream = UnixStream::connect(path).await.expect("the door is open");
        let buffer = Vec::new();
        Self { stream, buffer }
    }

    pub(crate) async fn send(&mut self, message: &Value) {
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.send_bytes(&bytes).await;
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("the door listens");
    }

    /// The next message; none when the door has closed.
    pub(crate) async fn receive(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == 0) {
                let message: Vec<u8> = self.buffer.drain(..=end).collect();
                return Some(serde_json::from_slice(&message[..end]).expect("replies are JSON"));
            }
            let mut chunk = [0; 4096];
            match self.stream.read(&mut chunk).await {
                Ok(0) | Err(_) => return None,
                Ok(read) => self.buffer.extend_from_slice(&chunk[..read]),
            }
        }
    }

    /// Calls a method of ours: its reply's parameters, or the last part of its error's name with the parameters.
    pub(crate) async fn call(&mut self, method: &str, parameters: Value) -> Result<Value, (String, Value)> {
        let full = format!("org.purser.Purser1.{method}");
        self.call_full(&full, parameters).await
    }

    /// Calls a method without parameters; none when the door closes instead.
    pub(crate) async fn try_call(&mut self, method: &str) -> Option<Value> {
        let call = format!("{{\"method\":\"org.purser.Purser1.{method}\"}}\0");
        self.stream.write_all(call.as_bytes()).await.ok()?;
        self.receive().await
    }

    pub(crate) async fn call_full(
        &mut self,
        method: &str,
        parameters: Value,
    ) -> Result<Value, (String, Value)> {
        self.send(&json!({ "method": method, "parameters": parameters }))
            .await;
        split(self.receive().await.expect("a call is answered"))
    }
}

/// A message as a reply or an error.
pub(crate) fn split(mut message: Value) -> Result<Value, (String, Value)> {
    let parameters = message["parameters"].take();
    match message["error"].as_str() {
        None => Ok(parameters),
        Some(error) => {
            let name = error.rsplit('.').next().expect("a name has a last part");
            Err((name.to_owned(), parameters))
        }
    }
}

pub(crate) fn sale(reference: &str, minor: u64) -> Value {
    json!({ "reference": reference, "amount": { "minor": minor, "currency": "JPY" } })
}
