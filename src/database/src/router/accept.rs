//! A listener: takes connections in, leads them through the start-up, and counts them.

use super::lanes::Lanes;
use super::startup::{Client, Entrance};
use super::wire::backend::{Report, code};
use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{oneshot, watch};

/// From the first packet to AuthenticationOk.
const START_UP: Duration = Duration::from_secs(10);

/// Connections in their start-up at once. One more, and the oldest has to go: an honest client is
/// through in milliseconds, so the oldest is one that says nothing.
const MAX_STARTING: usize = 4096;

/// Connections that the kernel may hold ready for us.
const BACKLOG: u32 = 4096;

/// After the system had no file or memory for a connection, the next try is made after this, then
/// after twice as long, and so on.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// See [`FIRST_PAUSE`].
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Whether one more client may come in.
pub(crate) trait Admission {
    /// What a client holds as long as it is in.
    type Place;

    /// Whether there is room; taken is nothing.
    fn check(&self) -> Result<(), Report>;

    /// Takes a place.
    fn admit(&self) -> Result<Self::Place, Report>;
}

/// Clients of one listener: at most so many.
#[derive(Debug)]
struct Room {
    listener: String,
    taken: AtomicUsize,
    max: AtomicUsize,
    refused: AtomicU64,
    not_accepted: AtomicU64,
}

impl Room {
    fn full(&self, max: usize) -> Report {
        self.refused.fetch_add(1, Ordering::Relaxed);
        Report::fatal(
            code::TOO_MANY_CONNECTIONS,
            format!("sorry, too many clients already: listener {} takes {max}", self.listener),
            "Raise database.listeners[].max_clients, or connect less often.",
        )
    }
}

impl Admission for Arc<Room> {
    type Place = RoomPlace;

    fn check(&self) -> Result<(), Report> {
        let max = self.max.load(Ordering::Relaxed);
        if self.taken.load(Ordering::Relaxed) < max { Ok(()) } else { Err(self.full(max)) }
    }

    fn admit(&self) -> Result<RoomPlace, Report> {
        let max = self.max.load(Ordering::Relaxed);
        let one_more = |taken| (taken < max).then_some(taken + 1);
        match self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more) {
            Ok(_) => Ok(RoomPlace(self.clone())),
            Err(_) => Err(self.full(max)),
        }
    }
}

/// A client's place; free again when dropped.
#[derive(Debug)]
struct RoomPlace(Arc<Room>);

impl Drop for RoomPlace {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Connections in their start-up, the oldest first.
#[derive(Debug, Default)]
struct Starting {
    next: AtomicU64,
    /// Dropped, the sender ends the start-up.
    all: Mutex<BTreeMap<u64, oneshot::Sender<()>>>,
    evicted: AtomicU64,
}

impl Starting {
    fn begin(self: &Arc<Self>) -> (StartingPlace, oneshot::Receiver<()>) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, evicted) = oneshot::channel();
        let mut all = lock(&self.all);
        all.insert(number, sender);
        if all.len() > MAX_STARTING && all.pop_first().is_some() {
            self.evicted.fetch_add(1, Ordering::Relaxed);
        }
        (StartingPlace { starting: self.clone(), number }, evicted)
    }
}

struct StartingPlace {
    starting: Arc<Starting>,
    number: u64,
}

impl Drop for StartingPlace {
    fn drop(&mut self) {
        lock(&self.starting.all).remove(&self.number);
    }
}

/// One listener at work.
#[derive(Debug)]
pub struct Acceptor {
    address: SocketAddr,
    room: Arc<Room>,
    starting: Arc<Starting>,
    /// True: no new client. Everyone who must end with the listener holds a receiver.
    stop: watch::Sender<bool>,
}

impl Acceptor {
    /// Binds the listener's socket and begins to accept. Each client that comes in is handed to
    /// `session`, in a task of its own on one of the lanes: if that panics, the others do not notice.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub fn start<F, S>(
        name: &str,
        address: SocketAddr,
        max_clients: u32,
        entrance: Arc<Entrance>,
        lanes: Arc<Lanes>,
        session: F,
    ) -> io::Result<Acceptor>
    where
        F: Fn(Client) -> S + Send + Sync + 'static,
        S: Future<Output = ()> + Send + 'static,
    {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // A restart must not wait for old connections' TIME_WAIT. Not SO_REUSEPORT: it would let two
        // routers share one port without either knowing.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?;
        let room = Arc::new(Room {
            listener: name.to_owned(),
            taken: AtomicUsize::new(0),
            max: AtomicUsize::new(places(max_clients)),
            refused: AtomicU64::new(0),
            not_accepted: AtomicU64::new(0),
        });
        let starting = Arc::new(Starting::default());
        let (stop, stopped) = watch::channel(false);
        let acceptor = Acceptor {
            address: listener.local_addr()?,
            room: room.clone(),
            starting: starting.clone(),
            stop,
        };
        let hall = Arc::new(Hall { entrance, room, starting, lanes, session });
        tokio::spawn(accept(listener, hall, stopped));
        Ok(acceptor)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Clients that are in.
    pub fn clients(&self) -> usize {
        self.room.taken.load(Ordering::Relaxed)
    }

    /// Connections whose user is not known yet.
    pub fn starting(&self) -> usize {
        lock(&self.starting.all).len()
    }

    /// Clients that were refused because `max_clients` were in.
    pub fn refused(&self) -> u64 {
        self.room.refused.load(Ordering::Relaxed)
    }

    /// How often the system had no file or no memory for a connection.
    pub fn not_accepted(&self) -> u64 {
        self.room.not_accepted.load(Ordering::Relaxed)
    }

    /// Connections that were closed because too many beside them said nothing.
    pub fn evicted(&self) -> u64 {
        self.starting.evicted.load(Ordering::Relaxed)
    }

    /// Takes a new bound. Who is in stays in.
    pub fn set_max_clients(&self, max_clients: u32) {
        self.room.max.store(places(max_clients), Ordering::Relaxed);
    }

    /// Closes the listener's socket and ends the start-ups. Sessions go on: ending them is their own
    /// business.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        // The accepting task and the start-ups drop their receivers as the last thing they do.
        self.stop.closed().await;
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

fn places(max_clients: u32) -> usize {
    usize::try_from(max_clients).unwrap_or(usize::MAX)
}

/// What every connection of a listener needs on its way in.
struct Hall<F> {
    entrance: Arc<Entrance>,
    room: Arc<Room>,
    starting: Arc<Starting>,
    lanes: Arc<Lanes>,
    session: F,
}

async fn accept<F, S>(listener: TcpListener, hall: Arc<Hall<F>>, mut stop: watch::Receiver<bool>)
where
    F: Fn(Client) -> S + Send + Sync + 'static,
    S: Future<Output = ()> + Send + 'static,
{
    let mut pause = FIRST_PAUSE;
    loop {
        let accepted = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((tcp, peer)) => {
                pause = FIRST_PAUSE;
                // A connection belongs to the thread that waits for it.
                if let Ok(tcp) = tcp.into_std() {
                    hall.lanes.next().spawn(start_up(tcp, peer, hall.clone(), stop.clone()));
                }
            }
            // The peer was gone before it was taken in.
            Err(error) if is_the_peers(&error) => {}
            Err(error) => {
                hall.room.not_accepted.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(listener = hall.room.listener, %error, ?pause, "no connection can be accepted");
                tokio::select! {
                    _ = stop.wait_for(|stop| *stop) => return,
                    () = tokio::time::sleep(pause) => {}
                }
                pause = LONGEST_PAUSE.min(pause * 2);
            }
        }
    }
}

/// Whether accepting failed for a reason that lies in the one connection.
fn is_the_peers(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionReset, HostUnreachable, Interrupted, NetworkUnreachable,
    };
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | HostUnreachable | Interrupted | NetworkUnreachable
    )
}

async fn start_up<F, S>(
    tcp: std::net::TcpStream,
    peer: SocketAddr,
    hall: Arc<Hall<F>>,
    mut stop: watch::Receiver<bool>,
) where
    F: Fn(Client) -> S + Send + Sync + 'static,
    S: Future<Output = ()> + Send + 'static,
{
    let Ok(tcp) = TcpStream::from_std(tcp) else { return };
    let (starting, evicted) = hall.starting.begin();
    let welcome = tokio::time::timeout(START_UP, hall.entrance.welcome(tcp, peer, &hall.room));
    let welcomed = tokio::select! {
        welcomed = welcome => welcomed,
        _ = evicted => return,
        _ = stop.wait_for(|stop| *stop) => return,
    };
    drop(starting);
    match welcomed {
        Ok(Some((client, place))) => {
            let session = (hall.session)(client);
            // A task of its own: the start-up's memory is not the session's to keep.
            tokio::spawn(async move {
                let _place = place;
                session.await;
            });
        }
        Ok(None) => {}
        Err(_) => tracing::debug!(%peer, "a connection did not get through its start-up within 10s"),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot::error::TryRecvError;

    #[test]
    fn the_oldest_start_up_makes_room() {
        let starting = Arc::new(Starting::default());
        let mut all: Vec<_> = (0..MAX_STARTING).map(|_| starting.begin()).collect();
        assert!(all.iter_mut().all(|(_, evicted)| evicted.try_recv() == Err(TryRecvError::Empty)));
        // One that is through makes room without anyone's going.
        drop(all.remove(1));
        all.push(starting.begin());
        assert_eq!(all[0].1.try_recv(), Err(TryRecvError::Empty));
        all.push(starting.begin());
        assert_eq!(all[0].1.try_recv(), Err(TryRecvError::Closed));
        assert_eq!(all[1].1.try_recv(), Err(TryRecvError::Empty));
        assert_eq!(starting.evicted.load(Ordering::Relaxed), 1);
        drop(all);
        assert!(lock(&starting.all).is_empty());
    }

    #[test]
    fn only_what_the_system_lacks_makes_the_listener_pause() {
        // The numbers are Linux's.
        for (errno, peers) in
            [(103, true), (104, true), (4, true), (113, true), (24, false), (23, false), (12, false)]
        {
            let error = io::Error::from_raw_os_error(errno);
            assert_eq!(is_the_peers(&error), peers, "{error}");
        }
    }
}
