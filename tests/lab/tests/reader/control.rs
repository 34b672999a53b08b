use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use purser_lab::control::ControlSocket;
use purser_lab::vpcd::{CardThread, Place};

use crate::bench::*;

struct Client(BufReader<UnixStream>);

impl Client {
    fn ask(&mut self, line: &str) -> String {
        self.0
            .get_mut()
            .write_all(format!("{line}\n").as_bytes())
            .unwrap();
        let mut answer = String::new();
        self.0.read_line(&mut answer).unwrap();
        answer.trim_end().to_owned()
    }
}

fn connect(path: &PathBuf) -> Client {
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    Client(BufReader::new(stream))
}

#[test]
fn a_card_is_led_by_lines_until_quit() {
    let (folder, path) = stored_card();
    let reader = Reader::new();
    let card = Arc::new(CardThread::start(&path, reader.address()).unwrap());
    let control_path = folder.path().join("control");
    let control = ControlSocket::bind(&control_path).unwrap();
    let server = std::thread::spawn({
        let card = Arc::clone(&card);
        move || control.serve(&card)
    });

    let mut idle = connect(&control_path);
    let mut client = connect(&control_path);
    assert!(
        client
            .ask("status")
            .starts_with("ok place=away ep=1000 ed=0 offline-sn=0")
    );
    assert!(client.ask("refill 50").contains("ep=1050"));
    assert!(
        client
            .ask("pay-elsewhere 20")
            .contains("ep=1030 ed=0 offline-sn=1")
    );
    assert_eq!(
        client.ask("pay-elsewhere 2000"),
        "error the card refused with 9401"
    );
    assert!(client.ask("tear after debit").contains("faults=1"));
    client.ask("insert");
    let mut inserted = reader.accept();
    assert!(card.wait_until(Place::InReader, PATIENCE));
    assert_eq!(
        client.ask("refill 5"),
        "error the card is in the reader; remove it first"
    );
    let debit = inserted.begin_purchase(30, 1);
    assert_eq!(inserted.ask(&debit), None);
    assert!(card.wait_until(Place::Away, PATIENCE));
    let status = client.ask("status");
    assert!(
        status.contains("ep=1000") && status.contains("faults=0"),
        "{status}"
    );
    assert!(client.ask("dance").starts_with("error say insert, remove"));
    assert!(client.ask("life blocked").contains("life=blocked"));
    assert!(client.ask("quit").starts_with("ok place=away"));
    server.join().unwrap().unwrap();
    assert!(!control_path.exists());
    drop(idle.ask("status"));
}

#[test]
fn a_line_without_end_is_refused_and_its_client_sent_away() {
    let (folder, path) = stored_card();
    let card = Arc::new(CardThread::start(&path, Reader::new().address()).unwrap());
    let control_path = folder.path().join("control");
    let control = ControlSocket::bind(&control_path).unwrap();
    let server = std::thread::spawn(move || control.serve(&card));
    let answer = connect(&control_path).ask(&"x".repeat(300));
    assert_eq!(answer, "error a line ends within 256 bytes");
    connect(&control_path).ask("quit");
    server.join().unwrap().unwrap();
}

#[test]
fn an_abandoned_socket_is_replaced_and_a_living_one_is_not() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("control");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "a killed process leaves its socket");
    // A process that another test is just starting may still have a copy of the listener.
    let end = Instant::now() + PATIENCE;
    let living = loop {
        match ControlSocket::bind(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse && Instant::now() < end => {}
            bound => break bound.unwrap(),
        }
    };
    assert_eq!(
        ControlSocket::bind(&path).unwrap_err().kind(),
        std::io::ErrorKind::AddrInUse
    );
    drop(living);
    std::fs::write(&path, "a file").unwrap();
    assert!(ControlSocket::bind(&path).is_err(), "other files are left alone");
    assert!(path.exists());
}
