//! A name server that says what it is told, and counts.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;

/// What the stub says about a name.
#[derive(Debug, Clone)]
pub enum Say {
    /// These addresses, for this many seconds.
    Addresses(u32, Vec<Ipv4Addr>),
    /// The name does not exist; its zone keeps that for an hour.
    NoName,
    /// The name exists and has no address.
    NoAddress,
    /// SERVFAIL.
    Broken,
    /// Nothing at all.
    Silence,
}

#[derive(Default)]
struct State {
    /// What is said next; the last is repeated.
    script: HashMap<String, Vec<Say>>,
    asked: HashMap<String, usize>,
}

pub struct DnsStub {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl DnsStub {
    pub fn start(script: &[(&str, &[Say])]) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let script = script.iter().map(|(name, says)| ((*name).to_owned(), says.to_vec())).collect();
        let state = Arc::new(Mutex::new(State { script, ..State::default() }));
        let stub = Self { address, state: state.clone() };
        thread::spawn(move || {
            let mut packet = [0; 1_500];
            loop {
                let (len, client) = socket.recv_from(&mut packet).unwrap();
                if let Some(answer) = answer(&packet[..len], &mut state.lock().unwrap()) {
                    socket.send_to(&answer, client).unwrap();
                }
            }
        });
        stub
    }

    /// Questions asked about `name`.
    pub fn asked(&self, name: &str) -> usize {
        self.state.lock().unwrap().asked.get(name).copied().unwrap_or(0)
    }
}

/// RFC 1035 §4: header of 12 bytes, the question as asked, then records whose name points back to it.
fn answer(query: &[u8], state: &mut State) -> Option<Vec<u8>> {
    let mut labels = Vec::new();
    let mut at = 12;
    while query[at] != 0 {
        let end = at + 1 + usize::from(query[at]);
        labels.push(String::from_utf8_lossy(&query[at + 1..end]).to_lowercase());
        at = end;
    }
    let name = labels.join(".");
    let question = &query[12..at + 5];
    *state.asked.entry(name.clone()).or_default() += 1;
    let says = state.script.get_mut(&name);
    let say = match says {
        Some(says) if says.len() > 1 => says.remove(0),
        Some(says) => says[0].clone(),
        None => Say::NoName,
    };
    let (code, answers, soa) = match &say {
        Say::Addresses(ttl, addresses) => (0, addresses.iter().map(|a| (*ttl, *a)).collect(), false),
        Say::NoName => (3, Vec::new(), true),
        Say::NoAddress => (0, Vec::new(), true),
        Say::Broken => (2, Vec::new(), false),
        Say::Silence => return None,
    };
    let mut packet = Vec::new();
    packet.extend_from_slice(&query[..2]);
    packet.extend_from_slice(&[0x81, 0x80 | code]);
    packet.extend_from_slice(&[0, 1, 0, answers.len() as u8, 0, u8::from(soa), 0, 0]);
    packet.extend_from_slice(question);
    for (ttl, address) in answers {
        packet.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1]);
        packet.extend_from_slice(&u32::to_be_bytes(ttl));
        packet.extend_from_slice(&[0, 4]);
        packet.extend_from_slice(&address.octets());
    }
    if soa {
        packet.extend_from_slice(&[0xc0, 12, 0, 6, 0, 1]);
        packet.extend_from_slice(&3_600u32.to_be_bytes());
        // Both names are the root; serial, refresh, retry, expire, minimum.
        packet.extend_from_slice(&[0, 22, 0, 0]);
        packet.extend_from_slice(&[1u32, 3_600, 3_600, 3_600, 3_600].map(u32::to_be_bytes).concat());
    }
    Some(packet)
}
