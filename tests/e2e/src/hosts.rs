//! Which driver host is whose, and the sockets by which purserd reaches it and the provider.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use crate::point::{Point, children, links};
use crate::{Fault, ensure};

/// What the socket to the PSAM's driver host is called in points.
pub(crate) const PSAM: &str = "psam";

/// The driver host, among the children of purserd, that listens at this address.
///
/// # Errors
/// None does.
pub(crate) fn that_listens(purserd: u32, address: SocketAddr) -> Result<u32, Fault> {
    let link = format!("socket:[{}]", listener(address)?);
    for host in children(purserd)? {
        if links(host)?.contains(&link) {
            return Ok(host);
        }
    }
    Err(format!("no driver host of purserd listens at {address}").into())
}

/// The number of the socket that listens at this address: the tenth field of its line in `/proc/net/tcp`, where the second
/// is the address and the fourth is the state (0A: it listens).
fn listener(address: SocketAddr) -> Result<u64, Fault> {
    let wanted = format!("0100007F:{:04X}", address.port());
    let table = fs::read_to_string("/proc/net/tcp")?;
    let fields = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mut listeners =
        fields.filter(|fields| fields.get(1) == Some(&&*wanted) && fields.get(3) == Some(&"0A"));
    let listener = listeners
        .next()
        .ok_or_else(|| format!("nobody listens at {address}"))?;
    Ok(listener
        .get(9)
        .ok_or("a line of /proc/net/tcp is short")?
        .parse()?)
}

/// What purserd's descriptor of a connection to this address leads to; none while it has none.
///
/// # Errors
/// purserd is gone.
pub(crate) fn connection_to(purserd: u32, address: SocketAddr) -> Result<Option<String>, Fault> {
    let wanted = format!("0100007F:{:04X}", address.port());
    let table = fs::read_to_string("/proc/net/tcp")?;
    let ours = links(purserd)?;
    // Of a line's fields the third is the peer, the fourth the state (01: it is established), the tenth the number.
    let mut sockets = table.lines().filter_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let is_it = fields.get(2) == Some(&&*wanted) && fields.get(3) == Some(&"01");
        is_it.then(|| fields.get(9).map(|number| format!("socket:[{number}]")))?
    });
    Ok(sockets.find(|socket| ours.contains(socket)))
}

/// What purserd's descriptor of its socket to this driver host leads to.
///
/// # Errors
/// `ss` is missing, or shows none.
pub(crate) fn socket_to(purserd: u32, host: u32) -> Result<String, Fault> {
    let listed = Command::new("ss")
        .args(["-x", "-n", "-H"])
        .output()
        .map_err(|error| format!("ss cannot be run: {error}"))?;
    ensure(listed.status.success(), || format!("ss: {listed:?}"))?;
    let (ours, theirs) = (links(purserd)?, links(host)?);
    // u_str ESTAB 0 0 * 123 * 124
    let listed = String::from_utf8_lossy(&listed.stdout);
    let mut sockets = listed.lines().filter_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let [.., "*", own, "*", peer] = fields[..] else {
            return None;
        };
        let (own, peer) = (format!("socket:[{own}]"), format!("socket:[{peer}]"));
        (ours.contains(&own) && theirs.contains(&peer)).then_some(own)
    });
    let socket = sockets.next();
    Ok(socket.ok_or_else(|| format!("ss shows no socket between {purserd} and {host}"))?)
}

/// Whether a sale with a PSAM is watched from this point of a thread on: the main thread's first word to the PSAM, and
/// whatever any other thread does first.
pub(crate) fn is_of_psam(point: &Point) -> bool {
    point.role != "main" || point.object == PSAM
}
