//! One node under watch: its probe, again and again, and what else its sessions are used for.

use super::engine::{self, Answer, Engine, Word};
use super::history::{History, LagPoint};
use super::session::{Failure, Link, Session};
use super::settings::Settings;
use super::shared::{Seen, Shared};
use super::vitals::{self, Vitals};
use super::waiting::{self, Wait};
use evenkeel_config::HostPort;
use evenkeel_config::database::Node as NodeConfig;
use evenkeel_policy::database::Lsn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_postgres::Statement;

/// Between two probes at least, however often a node is suspected.
const LEAST: Duration = Duration::from_millis(10);

/// Where Patroni listens unless told otherwise.
const PATRONI_PORT: u16 = 8008;

/// Between two questions to Patroni, whose own loop takes seconds.
const PATRONI_EVERY: Duration = Duration::from_secs(1);

/// One node under watch.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) config: NodeConfig,
    pub(super) engine: &'static dyn Engine,
    link: Link,
    timeout: Duration,
    suspected: Arc<Notify>,
    kept: Mutex<Kept>,
    /// A session beside the probe's, so that no question delays a probe; opened by the first one.
    asking: tokio::sync::Mutex<Option<Arc<Asking>>>,
    waits: mpsc::UnboundedSender<Wait>,
    /// What was last heard to be replayed, between probes.
    replayed: AtomicU64,
}

/// What is remembered of it.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// The probe's session, and how many there have been.
    pub(super) session: Option<Arc<Probing>>,
    pub(super) sessions: u64,
    /// The next transaction's number when it was last a replica.
    pub(super) xmax: Option<u64>,
    pub(super) vitals: Option<Arc<Vitals>>,
    pub(super) patroni: Option<Result<Word, String>>,
    pub(super) history: History,
}

/// The probe's session.
#[derive(Debug)]
pub(super) struct Probing {
    pub(super) session: Session,
    probe: Statement,
}

/// The session for questions.
#[derive(Debug)]
pub(super) struct Asking {
    session: Session,
    position: Statement,
    replayed: Statement,
}

impl Node {
    /// A node, and what its tasks need.
    pub(super) fn new(config: NodeConfig, settings: &Settings) -> (Arc<Node>, mpsc::UnboundedReceiver<Wait>) {
        let (waits, waiting) = mpsc::unbounded_channel();
        let suspected = Arc::new(Notify::new());
        let node = Node {
            link: Link::new(&config, settings, suspected.clone()),
            config,
            engine: engine::engine(settings.engine),
            timeout: settings.timeout,
            suspected,
            kept: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
            waits,
            replayed: AtomicU64::new(0),
        };
        (Arc::new(node), waiting)
    }

    /// Begins its tasks.
    pub(super) fn run(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        waiting: mpsc::UnboundedReceiver<Wait>,
    ) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        tasks.spawn(self.clone().watch(shared.clone()));
        tasks.spawn(waiting::serve(self.clone(), waiting));
        if self.engine.has_patroni() {
            tasks.spawn(self.clone().ask_patroni(shared.clone()));
        }
        tasks
    }

    /// Has it probed at once.
    pub(super) fn suspect(&self) {
        self.suspected.notify_one();
    }

    pub(super) fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn watch(self: Arc<Self>, shared: Arc<Shared>) {
        let mut rounds = 0;
        let mut vitals_at = Instant::now();
        loop {
            let begun = Instant::now();
            // From here on: what happens while this node is asked is no less urgent.
            let hurry = shared.hurry();
            tokio::pin!(hurry);
            hurry.as_mut().enable();
            let answer = self.probe_watched(&shared).await;
            let good = answer.is_ok();
            let pause = shared.observe(&self, answer.map_or_else(Seen::Failed, Seen::Answer));
            if good && vitals_at <= begun {
                vitals_at = begun + vitals::EVERY;
                self.gather(rounds).await;
                rounds += 1;
            }
            tokio::select! {
                () = sleep_until(begun + pause.to_duration()) => {}
                () = self.suspected.notified() => {}
                () = hurry => {}
            }
            sleep_until(begun + LEAST).await;
        }
    }

    /// Probes; a probe that takes longer than the time between two is told of meanwhile.
    async fn probe_watched(self: &Arc<Self>, shared: &Arc<Shared>) -> Result<Answer, Failure> {
        let probe = self.probe();
        tokio::pin!(probe);
        match timeout(shared.interval(), &mut probe).await {
            Ok(answer) => answer,
            Err(_) => {
                shared.observe(self, Seen::Late);
                probe.await
            }
        }
    }

    async fn probe(&self) -> Result<Answer, Failure> {
        let result = timeout(self.timeout, self.probe_or_reconnect()).await.unwrap_or(Err(Failure::Late));
        if matches!(result, Err(Failure::Late | Failure::Lost(_))) {
            // An answer that comes too late would tell how things were, not how they are.
            self.kept().session = None;
            self.replayed.store(0, Ordering::Relaxed);
        }
        result
    }

    /// A broken session may have been ended by an administrator, and the node be well: it is lost only if
    /// it does not take a new one at once.
    async fn probe_or_reconnect(&self) -> Result<Answer, Failure> {
        let probing = self.kept().session.clone();
        if let Some(probing) = probing {
            match engine::probe(&probing.session, &probing.probe).await {
                Err(Failure::Lost(why)) => {
                    self.kept().session = None;
                    return match timeout(self.timeout, self.open_and_probe()).await {
                        Ok(Err(Failure::Late)) | Err(_) => Err(Failure::Lost(why)),
                        Ok(answer) => answer,
                    };
                }
                answer => return answer,
            }
        }
        self.open_and_probe().await
    }

    async fn open_and_probe(&self) -> Result<Answer, Failure> {
        let session = self.link.open().await?;
        let probe = engine::prepare(self.engine, &session).await?;
        let answer = engine::probe(&session, &probe).await;
        let mut kept = self.kept();
        kept.sessions += 1;
        kept.session = Some(Arc::new(Probing { session, probe }));
        answer
    }

    async fn gather(&self, round: u64) {
        let (session, last) = {
            let kept = self.kept();
            (kept.session.clone(), kept.vitals.clone())
        };
        let Some(probing) = session else { return };
        match vitals::ask(&probing.session, round, last.as_deref()).await {
            Ok(vitals) => self.kept().vitals = Some(Arc::new(vitals)),
            Err(failure) => {
                tracing::debug!(node = self.config.name, reason = failure.words(), "no statistics");
                self.kept().vitals = None;
            }
        }
    }

    async fn ask_patroni(self: Arc<Self>, shared: Arc<Shared>) {
        let address = self.config.patroni.clone().or_else(|| {
            let host = self.config.address.host();
            let bracketed = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
            format!("{bracketed}:{PATRONI_PORT}").parse::<HostPort>().ok()
        });
        let Some(address) = address else { return };
        let mut contradictions = 0_u32;
        loop {
            let begun = Instant::now();
            let word = engine::ask_patroni(&address, self.timeout).await;
            let said = word.as_ref().ok().and_then(Word::role);
            let own = shared.role(&self);
            contradictions =
                if said.is_some() && own.is_some() && said != own { contradictions + 1 } else { 0 };
            // Once may be a moment's overlap.
            if contradictions == 2 {
                let (node, said, own) = (&self.config.name, format!("{said:?}"), format!("{own:?}"));
                tracing::warn!(node, said, own, "Patroni contradicts the node itself, which is believed");
            }
            self.kept().patroni = Some(word);
            sleep_until(begun + PATRONI_EVERY).await;
        }
    }

    /// The writer's position, asked of this node.
    pub(super) async fn position(&self) -> Option<Lsn> {
        let asking = self.asking().await?;
        match asking.session.ask(&asking.position).await {
            Ok(row) => row?.try_get(0).ok().map(engine::lsn),
            Err(failure) => {
                self.give_up(&asking, &failure).await;
                None
            }
        }
    }

    /// How far it has replayed and, if it says, on which timeline; none if it is no replica.
    pub(super) async fn ask_replayed(&self) -> Option<(Lsn, Option<u32>)> {
        let asking = self.asking().await?;
        match asking.session.ask(&asking.replayed).await {
            Ok(row) => {
                let row = row?;
                let lsn = engine::lsn(row.try_get("lsn").ok()?);
                let timeline: Option<i64> = row.try_get("timeline").ok()?;
                self.replayed.fetch_max(lsn.0, Ordering::Relaxed);
                Some((lsn, timeline.and_then(|timeline| u32::try_from(timeline).ok())))
            }
            Err(failure) => {
                self.give_up(&asking, &failure).await;
                None
            }
        }
    }

    /// What it was last heard to have replayed.
    pub(super) fn last_replayed(&self) -> Lsn {
        Lsn(self.replayed.load(Ordering::Relaxed))
    }

    pub(super) fn wait(&self, wait: Wait) {
        // If the task that serves them is gone, the waiting end sees the other one dropped.
        let _ = self.waits.send(wait);
    }

    pub(super) fn note_lag(&self, point: LagPoint) {
        self.kept().history.push(point);
    }

    /// Ends its sessions, when its tasks have ended.
    pub(super) async fn close(&self) {
        self.kept().session = None;
        *self.asking.lock().await = None;
    }

    async fn asking(&self) -> Option<Arc<Asking>> {
        let mut kept = self.asking.lock().await;
        if let Some(asking) = kept.as_ref().filter(|asking| !asking.session.is_closed()) {
            return Some(asking.clone());
        }
        *kept = None;
        let session = self.link.open().await.ok()?;
        let position = session.prepare(self.engine.position()).await.ok()?;
        let replayed = session.prepare(self.engine.replayed()).await.ok()?;
        let asking = Arc::new(Asking { session, position, replayed });
        *kept = Some(asking.clone());
        Some(asking)
    }

    /// A session that keeps silent or has ended is no use to the next question.
    async fn give_up(&self, asking: &Arc<Asking>, failure: &Failure) {
        if !matches!(failure, Failure::Refused(_)) {
            self.suspect();
            let mut kept = self.asking.lock().await;
            if kept.as_ref().is_some_and(|kept| Arc::ptr_eq(kept, asking)) {
                *kept = None;
            }
        }
    }
}
