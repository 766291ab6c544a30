//! Questions by UDP: a thread for each socket, of which there is one per core for each address.

use crate::counts::{Tally, Transport};
use crate::reply::MAX_DATAGRAM;
use crate::responder::{Query, Responder};
use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use rand::rngs::SmallRng;
use rand::{Rng, make_rng};
use std::io::{self, IoSliceMut};
use std::net::UdpSocket;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often a thread without questions looks whether it is to end.
const LOOK: Duration = Duration::from_millis(200);

/// The kernel may hand over several datagrams of one client at once (GRO), in as many bytes as this.
const BUFFER: usize = 65_535;

/// A socket that answers from the address it was asked at, even where it is bound to every address: a
/// resolver takes no answer from another one.
pub(crate) struct Socket {
    socket: UdpSocket,
    state: UdpSocketState,
}

impl Socket {
    pub(crate) fn new(socket: UdpSocket) -> io::Result<Self> {
        let state = UdpSocketState::new((&socket).into())?;
        // That made it one for an event loop. Here a thread waits.
        socket.set_nonblocking(false)?;
        socket.set_read_timeout(Some(LOOK))?;
        socket.set_write_timeout(Some(LOOK))?;
        Ok(Socket { socket, state })
    }

    fn receive(&self, bytes: &mut [u8]) -> io::Result<RecvMeta> {
        let mut received = [RecvMeta::default()];
        self.state.recv((&self.socket).into(), &mut [IoSliceMut::new(bytes)], &mut received)?;
        let [received] = received;
        Ok(received)
    }

    /// What cannot be sent is asked again.
    fn send(&self, contents: &[u8], to: &RecvMeta) {
        let (destination, src_ip) = (to.addr, to.dst_ip);
        let reply = Transmit { destination, ecn: None, contents, segment_size: None, src_ip };
        let _ = self.state.try_send((&self.socket).into(), &reply);
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
            for bytes in bytes.get(..received.len).unwrap_or_default().chunks(received.stride.max(1)) {
                let (client, transport, random) = (received.addr, Transport::Udp, random.next_u64());
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
