//! Every node's role, timeline and position, seen through one kept-open session each.
//!
//! Each node has a task that probes it and tells `Shared`, where the rules of
//! `evenkeel_policy::database` make a [`View`] of it. The rest answers questions on sessions beside the
//! probes': how far the writer is ([`Watch::writer_position`]), whether a replica has replayed that
//! ([`Watch::replayed`]), what became of a transaction ([`Watch::fate`]).

mod engine;
mod history;
mod memory;
mod node;
mod notice;
mod session;
mod settings;
mod shared;
mod terms;
mod vitals;
mod waiting;

pub use engine::Word as PatroniWord;
pub use history::LagPoint;
pub use memory::MemoryError;
pub use notice::Notice;
pub use settings::{Settings, Tls, rules};
pub use vitals::{Statements, Vitals};

use evenkeel_config::database::Node as NodeConfig;
use evenkeel_policy::database::{Lsn, Role, Rules, View, Writer};
use evenkeel_policy::time::Time;
use memory::Memory;
use node::Node;
use shared::Shared;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use waiting::Wait;

/// What became of a transaction whose COMMIT was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is certain that it was committed.
    Committed,
    /// It is certain that it was not.
    Aborted,
    /// Neither is certain.
    Unknown,
}

/// The watcher's results, and the questions that only its sessions can answer. It watches until the
/// last clone is dropped or [`shutdown`](Self::shutdown) is called.
#[derive(Clone, Debug)]
pub struct Watch {
    shared: Arc<Shared>,
    positions: mpsc::UnboundedSender<oneshot::Sender<Option<(u64, Lsn)>>>,
    tasks: Arc<Tasks>,
}

/// All that runs; it ends when this is dropped.
#[derive(Debug)]
struct Tasks {
    /// The settings in force, and each node's tasks in the order of the nodes.
    nodes: Mutex<(Settings, Vec<JoinSet<()>>)>,
    others: Mutex<JoinSet<()>>,
}

impl Watch {
    /// Begins to watch.
    ///
    /// # Errors
    /// If what is remembered on disk cannot be obeyed.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(settings: Settings) -> Result<Watch, MemoryError> {
        let memory = settings.data_dir.as_deref().map(Memory::open).transpose()?;
        let made: Vec<_> = settings.nodes.iter().map(|node| Node::new(node.clone(), &settings)).collect();
        let nodes = made.iter().map(|(node, _)| node.clone()).collect();
        let shared = Arc::new(Shared::new(settings.rules, nodes, memory));
        let running = made.into_iter().map(|(node, waiting)| node.run(&shared, waiting)).collect();
        let (positions, asked) = mpsc::unbounded_channel();
        let mut others = JoinSet::new();
        others.spawn(shared.clone().keep_history());
        others.spawn(answer_positions(shared.clone(), asked));
        let tasks = Tasks { nodes: Mutex::new((settings, running)), others: Mutex::new(others) };
        Ok(Watch { shared, positions, tasks: Arc::new(tasks) })
    }

    /// What is known now: renewed with every probe. Cheap.
    pub fn view(&self) -> Arc<View> {
        self.shared.view()
    }

    /// Wakes at each change of writer, generation, timeline, or of a node's role, reachability or drain.
    /// Positions and lag are renewed without waking anyone.
    pub fn subscribe(&self) -> watch::Receiver<Arc<View>> {
        self.shared.subscribe()
    }

    /// Now, on the clock of the view's times.
    pub fn now(&self) -> Time {
        self.shared.now()
    }

    /// The rules in force.
    pub fn rules(&self) -> Rules {
        *self.shared.brain().cluster.rules()
    }

    /// The nodes, in the order of the view's.
    pub fn nodes(&self) -> Vec<NodeConfig> {
        self.shared.brain().nodes.iter().map(|node| node.config.clone()).collect()
    }

    /// What happens from now on. A listener that is more than 256 behind misses the oldest.
    pub fn notices(&self) -> broadcast::Receiver<Arc<Notice>> {
        self.shared.notices()
    }

    /// The last hundred things that happened, the oldest first.
    pub fn recent(&self) -> Vec<Arc<Notice>> {
        self.shared.recent()
    }

    /// A replica's lag over the last ten minutes, once a second, the oldest first.
    pub fn history(&self, node: usize) -> Vec<LagPoint> {
        self.shared.node(node).map(|node| node.kept().history.points()).unwrap_or_default()
    }

    /// A node's statistics, gathered every five seconds; none while it does not answer.
    pub fn vitals(&self, node: usize) -> Option<Arc<Vitals>> {
        self.shared.node(node)?.kept().vitals.clone()
    }

    /// What the node's Patroni says, asked once a second, or why it does not; none without Patroni. It
    /// decides nothing.
    pub fn patroni(&self, node: usize) -> Option<Result<PatroniWord, String>> {
        self.shared.node(node)?.kept().patroni.clone()
    }

    /// Tells that a session saw its node fail: it is probed at once.
    pub fn suspect(&self, node: usize) {
        if let Some(node) = self.shared.node(node) {
            node.suspect();
        }
    }

    /// Takes a node out of use, or gives it back.
    pub fn set_drained(&self, node: usize, drained: bool) {
        let mut brain = self.shared.brain();
        if drained {
            brain.cluster.drain(node);
        } else {
            brain.cluster.undrain(node);
        }
        self.shared.conclude(&mut brain, &[]);
    }

    /// The writer's position now or later, with the generation it belongs to. Callers that wait at
    /// the same time share one question, which is sent after the last of them asked. None while no
    /// writer answers.
    pub async fn writer_position(&self) -> Option<(u64, Lsn)> {
        let (answer, answered) = oneshot::channel();
        self.positions.send(answer).ok()?;
        answered.await.ok().flatten()
    }

    /// Waits until the node has replayed `lsn` of generation `generation`; false if it has not in time,
    /// or if that cannot be told: after a promotion positions of the time before mean nothing.
    pub async fn replayed(&self, node: usize, generation: u64, lsn: Lsn, within: Duration) -> bool {
        let view = self.view();
        let Some(found) = self.shared.node(node) else { return false };
        let timeline = match view.writer {
            Writer::Conflict { .. } => return false,
            Writer::Known { node: writer, .. } if view.generation == generation && writer == node => {
                return true;
            }
            Writer::Known { timeline, .. } if view.generation == generation => Some(timeline),
            _ => self.shared.brain().terms.timeline(generation),
        };
        let Some(timeline) = timeline.filter(|timeline| *timeline == view.highest_timeline) else {
            return false;
        };
        let known = view.nodes.get(node);
        let probed = known.filter(|known| known.role == Some(Role::Replica)).and_then(|known| known.lsn);
        if probed.unwrap_or_default().max(found.last_replayed()) >= lsn {
            return true;
        }
        let (answer, answered) = oneshot::channel();
        found.wait(Wait { lsn, timeline, until: Instant::now() + within, answer });
        matches!(timeout(within, answered).await, Ok(Ok(true)))
    }

    /// What became of transaction `xid` of the writer of generation `generation`, asked of the writer
    /// that follows it: so after that one is known. Takes up to 2 s if the transaction is in progress.
    pub async fn fate(&self, generation: u64, xid: u64) -> Fate {
        let inquiry = {
            let brain = self.shared.brain();
            let view = brain.cluster.view();
            view.writer().and_then(|_| brain.terms.inquiry(generation, xid, view.generation))
        };
        match inquiry {
            Some(inquiry) => inquiry.ask(xid).await,
            None => Fate::Unknown,
        }
    }

    /// Goes on with other settings. A node that stays, by name and address, keeps what is known of it;
    /// `data_dir` stays as it was.
    pub fn reconfigure(&self, settings: Settings) {
        let mut kept = self.tasks.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut brain = self.shared.brain();
        let (old, old_tasks) = &mut *kept;
        let same_login = same_login(old, &settings);
        let mut tasks: Vec<Option<JoinSet<()>>> = std::mem::take(old_tasks).into_iter().map(Some).collect();
        let (mut from, mut nodes, mut begun) = (Vec::new(), Vec::new(), Vec::new());
        for config in &settings.nodes {
            let place = brain.nodes.iter().position(|known| same_node(&known.config, config));
            from.push(place);
            let running = place
                .filter(|_| same_login)
                .and_then(|place| Some((brain.nodes.get(place)?.clone(), tasks.get_mut(place)?.take()?)));
            match running {
                Some((node, tasks)) => {
                    nodes.push(node);
                    begun.push(tasks);
                }
                None => {
                    let (node, waiting) = Node::new(config.clone(), &settings);
                    begun.push(node.run(&self.shared, waiting));
                    nodes.push(node);
                }
            }
        }
        brain.nodes = nodes;
        let events = brain.cluster.reshape(self.shared.now(), settings.rules, &from);
        self.shared.conclude(&mut brain, &events);
        *kept = (settings, begun);
    }

    /// Ends all sessions. The view stays as it was last known.
    pub async fn shutdown(&self) {
        let mut tasks =
            std::mem::take(&mut *self.tasks.others.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.shutdown().await;
        let nodes = std::mem::take(&mut self.tasks.nodes.lock().unwrap_or_else(PoisonError::into_inner).1);
        for mut tasks in nodes {
            tasks.shutdown().await;
        }
        let nodes = self.shared.brain().nodes.clone();
        for node in nodes {
            node.close().await;
        }
    }
}

fn same_node(one: &NodeConfig, other: &NodeConfig) -> bool {
    (&one.name, &one.region, &one.address, &one.patroni)
        == (&other.name, &other.region, &other.address, &other.patroni)
}

/// Whether sessions made under one are as good under the other.
fn same_login(one: &Settings, other: &Settings) -> bool {
    let login = |settings: &Settings| {
        let login = settings.login.clone();
        (login.user, login.password_file, login.database, settings.engine, settings.timeout)
    };
    let tls = match (&one.tls, &other.tls) {
        (None, None) => true,
        (Some(one), Some(other)) => {
            Arc::ptr_eq(&one.client, &other.client) && one.server_name == other.server_name
        }
        _ => false,
    };
    tls && login(one) == login(other)
}

/// Answers all who asked for the writer's position by one question, sent after the last of them asked.
async fn answer_positions(
    shared: Arc<Shared>,
    mut asked: mpsc::UnboundedReceiver<oneshot::Sender<Option<(u64, Lsn)>>>,
) {
    let mut waiting = Vec::new();
    while asked.recv_many(&mut waiting, usize::MAX).await > 0 {
        let view = shared.view();
        let writer = view.writer().and_then(|writer| shared.node(writer));
        let lsn = match writer {
            Some(node) => node.position().await,
            None => None,
        };
        // It may have been replaced while it answered.
        let lsn = lsn.filter(|_| shared.view().generation == view.generation);
        for answer in waiting.drain(..) {
            let _ = answer.send(lsn.map(|lsn| (view.generation, lsn)));
        }
    }
}
