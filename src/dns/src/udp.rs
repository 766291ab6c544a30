//! Questions by UDP: a thread for each socket, of which there is one per core for each address.

use crate::counts::{Tally, Transport};
use crate::reply::MAX_DATAGRAM;
use crate::responder::{Query, Responder};
use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use rand::rngs::SmallRng;
use rand::{Rng, make_rng};
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often a thread without questions looks whether it is to end.
const LOOK: Duration = Duration::from_millis(200);

/// The kernel may hand over several datagrams of one client at once (GRO), in as many bytes as this.
const BUFFER: usize = 65_535;

/// A socket that answers from the address it was asked at: a resolver takes no answer from another one.
pub(crate) struct Socket {
    socket: UdpSocket,
    /// Where it is bound to every address: tells and sets the one of each datagram. That costs a tenth
    /// of the questions a second, so that a socket of one address goes without.
    everywhere: Option<UdpSocketState>,
}

/// What came in.
struct Received {
    client: SocketAddr,
    /// The address that was asked, where that is not the socket's own.
    asked: Option<IpAddr>,
    length: usize,
    /// The length of each datagram, if there are several.
    stride: usize,
}

impl Socket {
    pub(crate) fn new(socket: UdpSocket) -> io::Result<Self> {
        let unspecified = socket.local_addr()?.ip().is_unspecified();
        let everywhere = unspecified.then(|| UdpSocketState::new((&socket).into())).transpose()?;
        // That made it one for an event loop. Here a thread waits.
        socket.set_nonblocking(false)?;
        socket.set_read_timeout(Some(LOOK))?;
        socket.set_write_timeout(Some(LOOK))?;
        Ok(Socket { socket, everywhere })
    }

    fn receive(&self, bytes: &mut [u8]) -> io::Result<Received> {
        let Some(state) = &self.everywhere else {
            let (length, client) = self.socket.recv_from(bytes)?;
            return Ok(Received { client, asked: None, length, stride: length });
        };
        let mut received = [RecvMeta::default()];
        state.recv((&self.socket).into(), &mut [IoSliceMut::new(bytes)], &mut received)?;
        let [RecvMeta { addr, dst_ip, len, stride, .. }] = received;
        Ok(Received { client: addr, asked: dst_ip, length: len, stride })
    }

    /// What cannot be sent is asked again.
    fn send(&self, contents: &[u8], to: &Received) {
        let Some(state) = &self.everywhere else {
            let _ = self.socket.send_to(contents, to.client);
            return;
        };
        let (destination, src_ip) = (to.client, to.asked);
        let reply = Transmit { destination, ecn: None, contents, segment_size: None, src_ip };
        let _ = state.try_send((&self.socket).into(), &reply);
    }
}

/// What a thread works with.
pub(crate) struct Worker {
    pub(crate) socket: Socket,
    pub(crate) responder: Arc<Responder>,
    pub(crate) tally: Arc<Mutex<Tally>>,
    pub(crate) stop: Arc<AtomicBool>,
}

impl Worker {
    /// Answers until it is told to stop.
    pub(crate) fn run(&self) {
        // A fault of ours must not take a core's share of the questions away for good.
        while !self.stop.load(Ordering::Relaxed) {
            if catch_unwind(AssertUnwindSafe(|| self.serve())).is_err() {
                tracing::error!("a question by UDP ended its thread, which begins anew");
            }
        }
    }

    fn serve(&self) {
        let mut random: SmallRng = make_rng();
        let (mut bytes, mut reply) = (vec![0; BUFFER], Vec::with_capacity(MAX_DATAGRAM));
        while !self.stop.load(Ordering::Relaxed) {
            let received = match self.socket.receive(&mut bytes) {
                Ok(received) => received,
                Err(error) => {
                    if !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) {
                        // A full system recovers sooner if nobody asks it all the time.
                        std::thread::sleep(Duration::from_millis(1));
                    }
                    continue;
                }
            };
            for bytes in bytes.get(..received.length).unwrap_or_default().chunks(received.stride.max(1)) {
                let (client, transport, random) = (received.client, Transport::Udp, random.next_u64());
                let query = Query { bytes, client, transport, random, now: Instant::now() };
                let answered = {
                    let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
                    self.responder.respond(&query, &mut reply, &mut tally)
                };
                if answered {
                    self.socket.send(&reply, &received);
                }
            }
        }
    }
}
