//! Questions by TCP (RFC 7766): any number on a connection, answered in their order.

use crate::counts::{Tally, Transport};
use crate::reply::IDLE_TENTHS;
use crate::request::{HEADER, MAX_REQUEST};
use crate::responder::{Query, Responder};
use bytes::{Buf, BytesMut};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout, timeout_at};

/// Connections at a time for each address; the next one is closed at once.
pub(crate) const MAX_CONNECTIONS: usize = 1000;

/// For the next question to come in whole, and for answers to be taken. Whoever sends or reads a byte
/// now and then is cut off too.
const IDLE: Duration = Duration::from_millis(IDLE_TENTHS as u64 * 100);

/// Answers are sent together up to about this many bytes.
const TOGETHER: usize = 16_384;

/// Questions are read together up to this many bytes.
const READ: usize = 2048;

/// What all connections work with.
#[derive(Clone)]
pub(crate) struct Connections {
    pub(crate) responder: Arc<Responder>,
    pub(crate) tally: Arc<Mutex<Tally>>,
    pub(crate) stopped: watch::Receiver<bool>,
    pub(crate) max: usize,
}

impl Connections {
    /// Accepts until it is told to stop; then connections end after the answers they owe.
    pub(crate) async fn accept(mut self, listener: TcpListener) {
        let free = Arc::new(Semaphore::new(self.max));
        loop {
            let accepted = tokio::select! {
                _ = self.stopped.wait_for(|stopped| *stopped) => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, client)) => {
                    let Ok(permit) = free.clone().try_acquire_owned() else { continue };
                    let connection = self.clone();
                    tokio::spawn(async move {
                        // What goes wrong on a connection is its client's affair.
                        let _ = connection.serve(stream, client).await;
                        drop(permit);
                    });
                }
                // Out of descriptors: those in use must be given back first.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
        // Until the last connection has ended.
        let _ = free.acquire_many(u32::try_from(self.max).unwrap_or(u32::MAX)).await;
    }

    /// Until the client goes, idles, or sends what is no question.
    async fn serve(mut self, mut stream: TcpStream, client: SocketAddr) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut bytes = BytesMut::new();
        let (mut reply, mut replies) = (Vec::new(), Vec::new());
        let mut deadline = Instant::now() + IDLE;
        loop {
            let mut last = false;
            while replies.len() < TOGETHER && !last {
                match whole(&mut bytes) {
                    Ok(Some(request)) => self.answer(&request, client, &mut reply, &mut replies),
                    Ok(None) => break,
                    Err(Garbled) => {
                        self.tally().malformed += 1;
                        last = true;
                    }
                }
            }
            if !replies.is_empty() {
                timeout(IDLE, stream.write_all(&replies)).await??;
                replies.clear();
                deadline = Instant::now() + IDLE;
            } else if !last {
                bytes.reserve(READ);
                let read = tokio::select! {
                    _ = self.stopped.wait_for(|stopped| *stopped) => 0,
                    read = timeout_at(deadline, stream.read_buf(&mut bytes)) => read??,
                };
                last = read == 0;
            }
            if last {
                return stream.shutdown().await;
            }
        }
    }

    fn answer(&self, request: &[u8], client: SocketAddr, reply: &mut Vec<u8>, replies: &mut Vec<u8>) {
        let (transport, random) = (Transport::Tcp, rand::random());
        let query = Query { bytes: request, client, transport, random, now: Instant::now().into_std() };
        let answered = self.responder.respond(&query, reply, &mut self.tally());
        if let (true, Ok(length)) = (answered, u16::try_from(reply.len())) {
            replies.extend_from_slice(&length.to_be_bytes());
            replies.extend_from_slice(reply);
        }
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What cannot be a request by its length alone.
struct Garbled;

/// Takes the next message, if it is there in whole.
fn whole(bytes: &mut BytesMut) -> Result<Option<BytesMut>, Garbled> {
    let Some(length) = bytes.first_chunk().map(|length| usize::from(u16::from_be_bytes(*length))) else {
        return Ok(None);
    };
    if !(HEADER..=MAX_REQUEST).contains(&length) {
        return Err(Garbled);
    }
    if bytes.len() < 2 + length {
        return Ok(None);
    }
    bytes.advance(2);
    Ok(Some(bytes.split_to(length)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Settings, Standing};
    use evenkeel_config::Plan;
    use std::path::Path;
    use tokio::time::sleep;

    const ZONE: &str = "
service: shop
regions: [{name: a, address: 10.1.0.1:80}, {name: b, address: 10.2.0.1:80}]
companion: {address: \"10.1.0.1:9902\"}
dns:
  zone: example.com
  nameservers: [{name: ns.example.net}]
  records: [{name: www, members: [{a: [192.0.2.1]}]}]
";

    async fn listening(max: usize) -> (SocketAddr, watch::Sender<bool>) {
        let plan = Plan::read(ZONE.as_bytes(), Path::new("."), None).unwrap();
        let (zone, dns) = (plan.zone.unwrap(), plan.file.dns.unwrap());
        let settings = Settings { zone, dns, regions: Vec::new(), listen: Vec::new(), geoip: None };
        let responder = Arc::new(Responder::new(&settings, None, Standing::default()).unwrap());
        let (stop, stopped) = watch::channel(false);
        let connections = Connections { responder, tally: Arc::default(), stopped, max };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(connections.accept(listener));
        (address, stop)
    }

    /// Asks for the name servers of the root, which is refused.
    const QUESTION: &[u8; 19] = b"\0\x11KE\x01\0\0\x01\0\0\0\0\0\0\0\0\x06\0\x01";

    async fn is_open(stream: &mut TcpStream) -> bool {
        stream.write_all(QUESTION).await.is_ok() && stream.read_exact(&mut [0; 19]).await.is_ok()
    }

    #[tokio::test]
    async fn one_connection_too_many_is_closed_and_its_place_is_given_back() {
        let (address, _stop) = listening(2).await;
        let mut first = TcpStream::connect(address).await.unwrap();
        let mut second = TcpStream::connect(address).await.unwrap();
        assert!(is_open(&mut first).await && is_open(&mut second).await);
        let mut third = TcpStream::connect(address).await.unwrap();
        assert!(!is_open(&mut third).await);
        drop(first);
        let place_given_back = async {
            while !is_open(&mut TcpStream::connect(address).await.unwrap()).await {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(Duration::from_secs(10), place_given_back).await.expect("its place is free again");
    }

    /// The deadline holds for answers too: whoever asks and never reads does not keep a place.
    #[tokio::test(start_paused = true)]
    async fn whoever_does_not_take_its_answers_is_cut_off() {
        let (address, _stop) = listening(1).await;
        let mut greedy = TcpStream::connect(address).await.unwrap();
        let questions = QUESTION.repeat(1000);
        let begun = Instant::now();
        // Until both sides' buffers are full, and then until the connection is given up.
        while greedy.write_all(&questions).await.is_ok() {}
        assert!((10..25).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    }
}
