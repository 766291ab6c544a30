//! What all of the watcher's tasks share: the rules at work, the view they give, and what is told of it.

use super::engine::Answer;
use super::history::LagPoint;
use super::memory::Memory;
use super::node::Node;
use super::notice::{self, Notice};
use super::session::Failure;
use super::terms::{Term, Terms};
use evenkeel_policy::database::{Cluster, Event, Observation, Role, Rules, View, Writer};
use evenkeel_policy::time::{Millis, Time};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, broadcast, watch};
use tokio::time::{Instant, timeout};

/// Notices that are kept for whoever looks later.
const RECENT: usize = 100;

/// Notices that a listener may be behind before it misses some.
const BEHIND: usize = 256;

/// How long a new timeline may take to reach the disk before it is obeyed all the same: a broken disk
/// here must not keep a new writer from its clients.
const TO_DISK: Duration = Duration::from_millis(100);

/// What one probe came to.
#[derive(Debug)]
pub(super) enum Seen {
    Answer(Answer),
    Late,
    Failed(Failure),
}

/// What all tasks share.
#[derive(Debug)]
pub(super) struct Shared {
    began: Instant,
    view: watch::Sender<Arc<View>>,
    brain: Mutex<Brain>,
    hurry: Notify,
    notices: broadcast::Sender<Arc<Notice>>,
    saving: tokio::sync::Mutex<()>,
}

/// What is judged and remembered, changed by one task at a time.
#[derive(Debug)]
pub(super) struct Brain {
    pub(super) cluster: Cluster,
    /// In the order of the cluster's.
    pub(super) nodes: Vec<Arc<Node>>,
    pub(super) terms: Terms,
    /// The database's identifier, as the first node that had one said.
    system: Option<u64>,
    memory: Option<Memory>,
    /// New timelines on their way to the disk; the view that obeys them is published after that.
    unsaved: u32,
    recent: VecDeque<Arc<Notice>>,
}

impl Shared {
    pub(super) fn new(rules: Rules, nodes: Vec<Arc<Node>>, memory: Option<Memory>) -> Shared {
        let cluster = Cluster::new(rules, nodes.len(), 0, Time::ZERO);
        let view = watch::Sender::new(Arc::new(cluster.view().clone()));
        let brain = Brain {
            cluster,
            nodes,
            terms: Terms::default(),
            system: None,
            memory,
            unsaved: 0,
            recent: VecDeque::new(),
        };
        Shared {
            began: Instant::now(),
            view,
            brain: Mutex::new(brain),
            hurry: Notify::new(),
            notices: broadcast::Sender::new(BEHIND),
            saving: tokio::sync::Mutex::new(()),
        }
    }

    pub(super) fn now(&self) -> Time {
        Time::from_millis(u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    pub(super) fn view(&self) -> Arc<View> {
        self.view.borrow().clone()
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Arc<View>> {
        self.view.subscribe()
    }

    pub(super) fn notices(&self) -> broadcast::Receiver<Arc<Notice>> {
        self.notices.subscribe()
    }

    pub(super) fn recent(&self) -> Vec<Arc<Notice>> {
        self.brain().recent.iter().cloned().collect()
    }

    pub(super) fn node(&self, place: usize) -> Option<Arc<Node>> {
        self.brain().nodes.get(place).cloned()
    }

    /// What a node that answers says it is.
    pub(super) fn role(&self, node: &Arc<Node>) -> Option<Role> {
        let brain = self.brain();
        let place = brain.nodes.iter().position(|known| Arc::ptr_eq(known, node))?;
        brain.cluster.view().nodes.get(place).filter(|known| known.reachable)?.role
    }

    pub(super) fn brain(&self) -> MutexGuard<'_, Brain> {
        self.brain.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Between two probes of a node that answers.
    pub(super) fn interval(&self) -> Duration {
        self.brain().cluster.rules().interval.to_duration()
    }

    /// Is over when all nodes are to be probed at once.
    pub(super) fn hurry(&self) -> Notified<'_> {
        self.hurry.notified()
    }

    /// Takes up what a probe found; gives the time to the node's next one.
    pub(super) fn observe(self: &Arc<Self>, node: &Arc<Node>, seen: Seen) -> Millis {
        let now = self.now();
        let mut brain = self.brain();
        let Some(place) = brain.nodes.iter().position(|known| Arc::ptr_eq(known, node)) else {
            return Millis::from_secs(1);
        };
        let hurried = brain.hurries(place);
        let mut events = Vec::new();
        let observation = match seen {
            Seen::Late => Observation::Late,
            Seen::Failed(Failure::Late) => Observation::TimedOut,
            Seen::Failed(failure) => Observation::Lost(failure.words()),
            Seen::Answer(answer) => match brain.identify(now, answer.system, &mut events) {
                Err(other) => Observation::Lost(other),
                Ok(()) => {
                    if answer.sample.role == Role::Replica {
                        node.kept().xmax = answer.xmax;
                    }
                    Observation::Sample(answer.sample)
                }
            },
        };
        events.extend(brain.cluster.on_probe(now, place, observation));
        self.conclude(&mut brain, &events);
        if brain.hurries(place) && !hurried {
            self.hurry.notify_waiters();
        }
        brain.cluster.pause(place)
    }

    /// Draws the conclusions of a change: remembers, tells, publishes.
    pub(super) fn conclude(self: &Arc<Self>, brain: &mut Brain, events: &[Event]) {
        for event in events {
            if let Event::Writer { to: Writer::Known { node, timeline }, .. } = event {
                brain.begin_term(*node, *timeline);
            }
            self.tell(brain, event);
        }
        if brain.learn() {
            brain.unsaved += 1;
            tokio::spawn(self.clone().save());
        }
        self.publish(brain);
    }

    /// Whoever waits for changes is woken by those that matter to routing; positions and lag are
    /// renewed in silence.
    fn publish(&self, brain: &Brain) {
        if brain.unsaved > 0 {
            return;
        }
        let new = Arc::new(brain.cluster.view().clone());
        self.view.send_if_modified(|old| {
            let matters = matters(old, &new);
            *old = new;
            matters
        });
    }

    fn tell(&self, brain: &mut Brain, event: &Event) {
        let names: Vec<&str> = brain.nodes.iter().map(|node| node.config.name.as_str()).collect();
        let view = brain.cluster.view();
        let words = notice::words(event, view, &names);
        let generation = view.generation;
        match event {
            Event::Reachable { reachable: true, .. } | Event::Writer { to: Writer::Known { .. }, .. } => {
                tracing::info!(generation, "{words}");
            }
            Event::Reachable { .. } | Event::Stale { .. } | Event::Writer { to: Writer::None, .. } => {
                tracing::warn!(generation, "{words}");
            }
            Event::Writer { to: Writer::Conflict { .. }, .. } => tracing::error!(generation, "{words}"),
        }
        let notice = Arc::new(Notice { at: SystemTime::now(), event: event.clone(), words, generation });
        if brain.recent.len() == RECENT {
            brain.recent.pop_front();
        }
        brain.recent.push_back(notice.clone());
        // Nobody may be listening.
        let _ = self.notices.send(notice);
    }

    /// Writes the highest timeline, and publishes the view that obeys it.
    async fn save(self: Arc<Self>) {
        let turn = self.saving.lock().await;
        let memory = self.brain().memory.clone();
        let mut written = tokio::task::spawn_blocking(move || memory.map_or(Ok(()), |memory| memory.write()));
        let in_time = timeout(TO_DISK, &mut written).await;
        {
            let mut brain = self.brain();
            brain.unsaved = brain.unsaved.saturating_sub(1);
            self.publish(&brain);
        }
        let written = match in_time {
            Ok(written) => written,
            Err(_) => {
                tracing::warn!("the highest timeline is slow to reach the disk");
                written.await
            }
        };
        drop(turn);
        if let Ok(Err(error)) = written {
            tracing::error!(
                %error,
                "the highest timeline cannot be remembered: after a restart an old primary could be taken for the writer"
            );
        }
    }

    /// Keeps each node's lag, second by second.
    pub(super) async fn keep_history(self: Arc<Self>) {
        let mut seconds = tokio::time::interval(Duration::from_secs(1));
        seconds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            seconds.tick().await;
            let brain = self.brain();
            let at = SystemTime::now();
            for (node, known) in brain.nodes.iter().zip(&brain.cluster.view().nodes) {
                let answers = known.reachable && known.role == Some(Role::Replica);
                let (lag, bytes) = if answers { (known.lag, known.lag_bytes) } else { (None, None) };
                node.note_lag(LagPoint { at, lag, bytes });
            }
        }
    }
}

impl Brain {
    fn hurries(&self, place: usize) -> bool {
        self.cluster.pause(place) == self.cluster.rules().interval_without_writer
    }

    /// Checks that a node belongs to this database. The first one tells which that is, and so whose
    /// timeline is to be remembered.
    fn identify(&mut self, now: Time, system: Option<u64>, events: &mut Vec<Event>) -> Result<(), String> {
        let Some(system) = system else { return Ok(()) };
        match self.system {
            Some(known) if known == system => Ok(()),
            Some(known) => Err(format!(
                "it belongs to another database: its system identifier is {system}, the others' is {known}; \
                 if the database was replaced as a whole, restart evenkeel"
            )),
            None => {
                self.system = Some(system);
                let highest = self.memory.as_ref().map_or(0, |memory| memory.highest(system));
                events.extend(self.cluster.remember(now, highest));
                Ok(())
            }
        }
    }

    /// True if there is a timeline to write down.
    fn learn(&mut self) -> bool {
        match (self.system, &mut self.memory) {
            (Some(system), Some(memory)) => memory.raise(system, self.cluster.view().highest_timeline),
            _ => false,
        }
    }

    fn begin_term(&mut self, place: usize, timeline: u32) {
        let Some(node) = self.nodes.get(place).cloned() else { return };
        let (session, xmax) = {
            let mut kept = node.kept();
            (kept.sessions, kept.xmax.take())
        };
        let generation = self.cluster.view().generation;
        self.terms.push(Term { generation, node, timeline, session, xmax });
    }
}

fn matters(old: &View, new: &View) -> bool {
    old.generation != new.generation
        || old.highest_timeline != new.highest_timeline
        || old.nodes.len() != new.nodes.len()
        || old.nodes.iter().zip(&new.nodes).any(|(old, new)| {
            (old.reachable, old.role, old.drained) != (new.reachable, new.role, new.drained)
        })
}
