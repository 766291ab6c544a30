//! Questions by UDP: a thread for each socket, of which there is one per core for each address.

use crate::counts::{Tally, Transport};
use crate::request::MAX_REQUEST;
use crate::responder::{Query, Responder};
use rand::rngs::SmallRng;
use rand::{Rng, make_rng};
use std::io;
use std::net::UdpSocket;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often a thread without questions looks whether it is to end.
const LOOK: Duration = Duration::from_millis(200);

/// What a thread works with.
pub(crate) struct Worker {
    pub(crate) socket: UdpSocket,
    pub(crate) responder: Arc<Responder>,
    pub(crate) tally: Arc<Mutex<Tally>>,
    pub(crate) stop: Arc<AtomicBool>,
}

impl Worker {
    /// Answers until it is told to stop.
    pub(crate) fn run(&self) {
        let _ = self.socket.set_read_timeout(Some(LOOK));
        // A fault of ours must not take a core's share of the questions away for good.
        while !self.stop.load(Ordering::Relaxed) {
            if catch_unwind(AssertUnwindSafe(|| self.serve())).is_err() {
                tracing::error!("a question by UDP ended its thread, which begins anew");
            }
        }
    }

    fn serve(&self) {
        let mut random: SmallRng = make_rng();
        // One byte more than a request may have tells a longer one.
        let mut bytes = [0; MAX_REQUEST + 1];
        let mut reply = Vec::with_capacity(MAX_REQUEST);
        while !self.stop.load(Ordering::Relaxed) {
            let (length, client) = match self.socket.recv_from(&mut bytes) {
                Ok(received) => received,
                Err(error) => {
                    let waiting =
                        [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut, io::ErrorKind::Interrupted];
                    if !waiting.contains(&error.kind()) {
                        // A full system recovers sooner if nobody asks it all the time.
                        std::thread::sleep(Duration::from_millis(1));
                    }
                    continue;
                }
            };
            let Some(bytes) = bytes.get(..length) else { continue };
            let query = Query {
                bytes,
                client,
                transport: Transport::Udp,
                random: random.next_u64(),
                now: Instant::now(),
            };
            let answered = {
                let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
                self.responder.respond(&query, &mut reply, &mut tally)
            };
            if answered {
                // What cannot be sent is asked again.
                let _ = self.socket.send_to(&reply, client);
            }
        }
    }
}
