//! The responder on its sockets.

use crate::counts::{Counts, Tally};
use crate::explain::{Explanation, explain_state};
use crate::places::Places;
use crate::responder::Responder;
use crate::tcp::{Connections, MAX_CONNECTIONS};
use crate::udp;
use crate::{Settings, Standing};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Bytes of questions that wait in a socket while a thread does not run. The system may allow less.
const RECEIVE_BUFFER: usize = 1 << 20;

/// Threads by UDP for each address, on machines of many cores: each answers some 60,000 questions a second.
const MAX_THREADS: usize = 8;

/// How often another port is tried where the system chooses: the one it chose for TCP may be taken by UDP.
const CHOICES: usize = 20;

/// A running responder. It stops with [`Server::stop`], and when it is dropped.
pub struct Server {
    responder: Arc<Responder>,
    tallies: Vec<Arc<Mutex<Tally>>>,
    asked: Vec<SocketAddr>,
    addresses: Vec<SocketAddr>,
    stop: Arc<AtomicBool>,
    stopping: watch::Sender<bool>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    listeners: tokio::sync::Mutex<JoinSet<()>>,
}

impl Server {
    /// Reads the database and listens by UDP and TCP on every address.
    ///
    /// # Errors
    /// A line that names the field, the value and the remedy. Nothing listens then.
    pub async fn start(settings: Settings, standing: Standing) -> Result<Server, String> {
        let places = open(&settings).await?;
        let responder = Arc::new(Responder::new(&settings, places, standing)?);
        let (stopping, stopped) = watch::channel(false);
        let mut bound = Vec::new();
        for address in &settings.listen {
            let sockets = bind(*address).map_err(|error| refused(*address, &error))?;
            bound.push(sockets);
        }

        let by_tcp = Arc::new(Mutex::new(Tally::default()));
        let mut server = Server {
            responder: responder.clone(),
            tallies: vec![by_tcp.clone()],
            asked: settings.listen,
            addresses: bound.iter().map(|bound| bound.address).collect(),
            stop: Arc::new(AtomicBool::new(false)),
            stopping,
            threads: Mutex::new(Vec::new()),
            listeners: tokio::sync::Mutex::new(JoinSet::new()),
        };
        for Bound { address, listener, sockets } in bound {
            let (responder, tally, stopped) = (responder.clone(), by_tcp.clone(), stopped.clone());
            let tcp = Connections { responder, tally, stopped, max: MAX_CONNECTIONS };
            server.listeners.get_mut().spawn(tcp.accept(listener));
            for socket in sockets {
                server.thread(socket).map_err(|error| refused(address, &error))?;
            }
        }
        Ok(server)
    }

    fn thread(&mut self, socket: udp::Socket) -> io::Result<()> {
        let (responder, stop) = (self.responder.clone(), self.stop.clone());
        let tally = Arc::new(Mutex::new(Tally::default()));
        self.tallies.push(tally.clone());
        let worker = udp::Worker { socket, responder, tally, stop };
        let thread = std::thread::Builder::new().name("dns".to_owned()).spawn(move || worker.run())?;
        self.threads.get_mut().unwrap_or_else(PoisonError::into_inner).push(thread);
        Ok(())
    }

    /// Answers follow this health at once.
    pub fn set(&self, standing: Standing) {
        self.responder.set(standing);
    }

    /// Takes up a new zone and database, whole or not at all. Returns the fields that wait for a restart.
    /// It reads a file, so that it is called where that may block.
    ///
    /// # Errors
    /// A line that names the field; the old ones stay in force.
    pub fn reload(&self, settings: Settings) -> Result<Vec<String>, String> {
        let places = settings.geoip.as_deref().map(Places::open).transpose()?;
        self.responder.reload(&settings, places)?;
        let moved = settings.listen != self.asked;
        Ok(moved.then(|| "dns.listen".to_owned()).into_iter().collect())
    }

    /// What was asked and answered since the start.
    pub fn counts(&self) -> Counts {
        self.responder.counts(self.tallies.iter().map(|tally| &**tally))
    }

    /// What would be answered now, and why.
    ///
    /// # Errors
    /// What is wrong with the question.
    pub fn explain(&self, name: &str, record_type: &str, from: IpAddr) -> Result<Explanation, String> {
        explain_state(&self.responder.state(), name, record_type, from)
    }

    /// What it listens on, in the order of [`Settings::listen`].
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Answers what was asked, then nothing more. Takes up to 200 ms, and longer only if a client takes
    /// its answers slowly.
    pub async fn stop(&self) {
        self.signal();
        let mut listeners = self.listeners.lock().await;
        while listeners.join_next().await.is_some() {}
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let ended =
            tokio::task::spawn_blocking(|| threads.into_iter().for_each(|thread| drop(thread.join())));
        let _ = ended.await;
    }

    fn signal(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.stopping.send_replace(true);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.signal();
    }
}

async fn open(settings: &Settings) -> Result<Option<Places>, String> {
    let Some(path) = settings.geoip.clone() else { return Ok(None) };
    let opened = tokio::task::spawn_blocking(move || Places::open(&path)).await;
    opened.map_err(|error| format!("dns.geoip.database: {error}"))?.map(Some)
}

/// The sockets of one address.
struct Bound {
    address: SocketAddr,
    listener: TcpListener,
    sockets: Vec<udp::Socket>,
}

fn bind(asked: SocketAddr) -> io::Result<Bound> {
    let mut choices = if asked.port() == 0 { CHOICES } else { 1 };
    loop {
        // TCP first: sockets by UDP share their port with whoever wants that too, and nobody would
        // notice a second responder beside this one.
        let listener = listen(asked)?;
        let address = listener.local_addr()?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
        let sockets = (0..cores).map(|_| datagrams(address)).collect::<io::Result<_>>();
        choices -= 1;
        match sockets {
            Ok(sockets) => return Ok(Bound { address, listener, sockets }),
            Err(error) if choices == 0 => return Err(error),
            Err(_) => {}
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if address.is_ipv6() {
        socket2::SockRef::from(&socket).set_only_v6(true)?;
    }
    // The port of a responder that was just stopped is free at once.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(1024)
}

fn datagrams(address: SocketAddr) -> io::Result<udp::Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        // So that [::] and 0.0.0.0 can stand side by side.
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_port(true)?;
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    socket.bind(&address.into())?;
    udp::Socket::new(socket.into())
}

fn refused(address: SocketAddr, error: &io::Error) -> String {
    let remedy = match error.kind() {
        io::ErrorKind::AddrInUse => "stop what listens there, or choose another port",
        io::ErrorKind::AddrNotAvailable => "this machine has no such address: choose one of its own",
        io::ErrorKind::PermissionDenied => "choose a port above 1023, or give this program the right to it",
        _ => "choose another address",
    };
    format!("dns.listen: {address}: cannot listen: {error}: {remedy}")
}
