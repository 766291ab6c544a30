//! A region: a small HTTP/1.1 server that does what a request asks of it.
//!
//! `x-do-REGION: 503` answers with that status, `grpc14` with that gRPC status, `close` closes
//! after the request was read, `hang` never answers. Otherwise the answer is 200, and its body
//! holds the request's header lines.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A running region.
pub struct Region {
    pub address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Region {
    pub fn start(name: &'static str) -> Region {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let heard = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&heard);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let heard = Arc::clone(&all);
                std::thread::spawn(move || serve(name, &stream, &heard));
            }
        });
        Region { address, heard }
    }

    /// How many requests of this test have arrived.
    pub fn count(&self, test: &str) -> usize {
        self.heard.lock().expect("no panic").iter().filter(|t| *t == test).count()
    }
}

/// An address where nobody listens.
pub fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port")
}

fn serve(name: &str, stream: &TcpStream, heard: &Mutex<Vec<String>>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if line.trim().is_empty() {
                break;
            }
            head.push(line.trim().to_owned());
        }
        let header = |key: &str| {
            head.iter().skip(1).find_map(|l| l.split_once(": ").filter(|(k, _)| *k == key)).map(|(_, v)| v)
        };
        let length = header("content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
        reader.read_exact(&mut vec![0; length]).ok()?;
        heard.lock().expect("no panic").push(header("x-test").unwrap_or_default().to_owned());
        let what = header(&format!("x-do-{name}")).unwrap_or("200");
        let (status, extra) = match what {
            "close" => return stream.shutdown(std::net::Shutdown::Both).ok(),
            "hang" => return std::io::copy(&mut reader, &mut std::io::sink()).map(drop).ok(),
            grpc if grpc.starts_with("grpc") => {
                ("200", format!("content-type: application/grpc\r\ngrpc-status: {}\r\n", &grpc[4..]))
            }
            status => (status, String::new()),
        };
        let body = format!("region: {name}\n{}\n", head.join("\n"));
        let answer = format!("HTTP/1.1 {status} X\r\n{extra}content-length: {}\r\n\r\n{body}", body.len());
        let mut writer = stream;
        writer.write_all(answer.as_bytes()).ok()?;
    }
}
