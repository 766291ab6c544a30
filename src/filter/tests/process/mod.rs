//! An Envoy process with a virtual clock: shared data, callouts and metrics as Envoy has them, and as
//! many VMs as a test wants.
#![allow(dead_code, missing_docs)]

use evenkeel_filter::edge::{Edge, TICK};
use evenkeel_filter::host::*;
use evenkeel_filter::request::Tracked;
use evenkeel_policy::time::{Millis, Time};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

/// What all VMs of a process share.
#[derive(Default, Debug)]
pub struct Shared {
    pub now: u64,
    pub unix: u64,
    data: HashMap<String, (Vec<u8>, u32)>,
    versions: u32,
    /// Writes by someone else, each just before the next write of a VM.
    pub interference: u32,
    pub calls: Vec<Started>,
    tokens: u32,
    metric_names: Vec<String>,
    pub metrics: BTreeMap<String, u64>,
    pub missing_clusters: Vec<String>,
    pub empty_clusters: Vec<String>,
    pub reads: u32,
}

/// A call that a VM started.
#[derive(Clone, Debug)]
pub struct Started {
    pub at: u64,
    pub vm: usize,
    pub token: Token,
    pub cluster: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

#[derive(Clone, Debug)]
pub struct Process(pub Rc<RefCell<Shared>>);

/// A process as one VM sees it.
#[derive(Clone, Debug)]
pub struct Seat {
    vm: usize,
    process: Process,
}

pub type Vm = Edge<Seat>;

impl Process {
    pub fn new() -> Self {
        let shared = Shared { now: 1_000_000, unix: 1_800_000_000_000, ..Shared::default() };
        Process(Rc::new(RefCell::new(shared)))
    }

    pub fn vm(&self, vm: usize, configuration: &str) -> Vm {
        let seat = Seat { vm, process: self.clone() };
        Edge::new(seat, configuration.as_bytes()).expect("the test's configuration is right")
    }

    pub fn vms(&self, count: usize, configuration: &str) -> Vec<Vm> {
        (0..count).map(|vm| self.vm(vm, configuration)).collect()
    }

    pub fn now(&self) -> u64 {
        self.0.borrow().now
    }

    /// Moves the clock on, ticking every VM as Envoy does. `answer` says how a region's readiness
    /// answers (status; none: not at all), asked at once for each probe.
    pub fn run(&self, vms: &mut [Vm], ms: u64, mut answer: impl FnMut(&Started) -> Option<Answer>) {
        let end = self.now() + ms;
        loop {
            let step = TICK.get().min(end - self.now());
            if step == 0 {
                return;
            }
            self.0.borrow_mut().now += step;
            self.0.borrow_mut().unix += step;
            for vm in vms.iter_mut() {
                vm.on_tick();
            }
            let timeout = vms.first().map_or(3000, |vm| vm.engine().topology().health_check.timeout.get());
            let started: Vec<Started> = std::mem::take(&mut self.0.borrow_mut().calls);
            let mut waiting = Vec::new();
            for call in started {
                let Some(vm) = vms.iter_mut().find(|vm| vm.host().vm == call.vm) else { continue };
                if let Some(answer) = answer(&call) {
                    vm.on_answer(call.token, &answer);
                } else if self.now() >= call.at + timeout {
                    vm.on_answer(call.token, &status(504));
                } else {
                    waiting.push(call);
                }
            }
            self.0.borrow_mut().calls.extend(waiting);
        }
    }

    pub fn metric(&self, name: &str) -> u64 {
        self.0.borrow().metrics.get(name).copied().unwrap_or(0)
    }
}

pub fn status(status: u16) -> Answer {
    Answer { status: Some(status), drain: None }
}

/// Every region answers well.
pub fn well(_: &Started) -> Option<Answer> {
    Some(status(200))
}

/// One cluster refuses, the others answer well.
pub fn refuses(cluster: &'static str) -> impl FnMut(&Started) -> Option<Answer> {
    move |call| Some(status(if call.cluster == cluster { 503 } else { 200 }))
}

impl Host for Seat {
    fn now(&self) -> Time {
        Time::from_millis(self.process.now())
    }

    fn unix_now(&self) -> u64 {
        self.process.0.borrow().unix
    }

    fn shared(&self, key: &str) -> Option<(Vec<u8>, Version)> {
        let mut shared = self.process.0.borrow_mut();
        shared.reads += 1;
        shared.data.get(key).map(|(value, version)| (value.clone(), Version(*version)))
    }

    fn share(&self, key: &str, value: &[u8], version: Option<Version>) -> bool {
        let mut shared = self.process.0.borrow_mut();
        if shared.interference > 0 && shared.data.contains_key(key) {
            shared.interference -= 1;
            shared.versions += 1;
            let version = shared.versions;
            if let Some(held) = shared.data.get_mut(key) {
                held.1 = version;
            }
        }
        // As Envoy: without a version, or for a key that is not there, a write always succeeds.
        let held = shared.data.get(key).map(|(_, version)| *version);
        if let (Some(Version(wanted)), Some(held)) = (version, held)
            && wanted != held
        {
            return false;
        }
        shared.versions += 1;
        let version = shared.versions;
        shared.data.insert(key.to_owned(), (value.to_vec(), version));
        true
    }

    fn call(&self, call: &Call<'_>) -> Result<Token, CallError> {
        let mut shared = self.process.0.borrow_mut();
        if shared.missing_clusters.iter().any(|name| name == call.cluster) {
            return Err(CallError::NoCluster);
        }
        if shared.empty_clusters.iter().any(|name| name == call.cluster) {
            return Err(CallError::NoHost);
        }
        shared.tokens += 1;
        let started = Started {
            at: shared.now,
            vm: self.vm,
            token: Token(shared.tokens),
            cluster: call.cluster.to_owned(),
            headers: call.headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
            body: String::from_utf8(call.body.to_vec()).expect("bodies are JSON"),
        };
        let token = started.token;
        shared.calls.push(started);
        Ok(token)
    }

    fn metric(&self, _: MetricKind, name: &str) -> Metric {
        let mut shared = self.process.0.borrow_mut();
        let place = shared.metric_names.iter().position(|known| known == name).unwrap_or_else(|| {
            shared.metric_names.push(name.to_owned());
            shared.metric_names.len() - 1
        });
        Metric(place as u32)
    }

    fn count(&self, metric: Metric, by: i64) {
        let mut shared = self.process.0.borrow_mut();
        let name = shared.metric_names[metric.0 as usize].clone();
        *shared.metrics.entry(name).or_default() += u64::try_from(by).expect("counters grow");
    }

    fn record(&self, metric: Metric, value: u64) {
        let mut shared = self.process.0.borrow_mut();
        let name = shared.metric_names[metric.0 as usize].clone();
        shared.metrics.insert(name, value);
    }

    fn node(&self) -> Option<String> {
        Some("edge-1".to_owned())
    }
}

/// One request with Envoy's view of its end.
#[derive(Default, Debug)]
pub struct FakeExchange {
    pub request: RefCell<Vec<(String, Vec<u8>)>>,
    pub response: RefCell<Vec<(String, Vec<u8>)>>,
    pub refused: RefCell<Option<(u16, String)>>,
    pub attributes: HashMap<Attribute, Vec<u8>>,
}

impl FakeExchange {
    pub fn get() -> Self {
        FakeExchange::default().header(":method", "GET").header(":path", "/").header(":authority", "shop")
    }

    pub fn header(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.request.borrow_mut().push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    pub fn country(self, code: &str) -> Self {
        self.header("x-country-code", code)
    }

    pub fn attribute(mut self, attribute: Attribute, value: impl AsRef<[u8]>) -> Self {
        self.attributes.insert(attribute, value.as_ref().to_vec());
        self
    }

    pub fn ends(&mut self, code: u16, flags: u64, attempts: i64, details: &str) {
        let mut set = |attribute, value: &[u8]| self.attributes.insert(attribute, value.to_vec());
        set(Attribute::ResponseCode, &i64::from(code).to_le_bytes());
        set(Attribute::ResponseFlags, &flags.to_le_bytes());
        set(Attribute::AttemptCount, &attempts.to_le_bytes());
        set(Attribute::ResponseCodeDetails, details.as_bytes());
    }

    pub fn value(&self, name: &str) -> Option<String> {
        let request = self.request.borrow();
        let (_, value) = request.iter().find(|(known, _)| known == name)?;
        Some(String::from_utf8_lossy(value).into_owned())
    }

    pub fn decision(&self) -> Option<String> {
        let response = self.response.borrow();
        let (_, value) = response.iter().find(|(name, _)| name == "x-evenkeel-decision")?;
        Some(String::from_utf8_lossy(value).into_owned())
    }
}

impl Exchange for FakeExchange {
    fn each_request_header(&self, see: &mut dyn FnMut(&[u8], &[u8])) {
        for (name, value) in self.request.borrow().iter() {
            see(name.as_bytes(), value);
        }
    }

    fn set_request_header(&self, name: &str, value: Option<&[u8]>) {
        let mut request = self.request.borrow_mut();
        request.retain(|(known, _)| known != name);
        if let Some(value) = value {
            request.push((name.to_owned(), value.to_vec()));
        }
    }

    fn set_response_header(&self, name: &str, value: &[u8]) {
        self.response.borrow_mut().push((name.to_owned(), value.to_vec()));
    }

    fn attribute(&self, attribute: Attribute) -> Option<Vec<u8>> {
        self.attributes.get(&attribute).cloned()
    }

    fn respond(&self, status: http::StatusCode, headers: &[(&str, &str)], body: &str) {
        for (name, value) in headers {
            self.set_response_header(name, value.as_bytes());
        }
        *self.refused.borrow_mut() = Some((status.as_u16(), body.to_owned()));
    }
}

/// How a request ends, in Envoy's words.
#[derive(Clone, Copy, Debug)]
pub enum End {
    Ok,
    Refused,
    Error,
    /// The first region failed, the second answered.
    Retried,
    ClientGone,
}

/// Sends a request through a VM to its end. What it looked like to the upstream.
pub fn send(vm: &mut Vm, mut exchange: FakeExchange, end: End) -> FakeExchange {
    if let Some(tracked) = begin(vm, &exchange) {
        finish(vm, &mut exchange, &tracked, end);
    }
    exchange
}

pub fn begin(vm: &mut Vm, exchange: &FakeExchange) -> Option<Tracked> {
    vm.on_request(exchange)
}

pub fn finish(vm: &mut Vm, exchange: &mut FakeExchange, tracked: &Tracked, end: End) {
    match end {
        End::Ok => exchange.ends(200, 0, 1, "via_upstream"),
        End::Refused => exchange.ends(503, 1 << 5, 1, "upstream_reset_before_response_started{connection}"),
        End::Error => exchange.ends(500, 0, 1, "via_upstream"),
        End::Retried => exchange.ends(200, 0, 2, "via_upstream"),
        End::ClientGone => exchange.ends(0, 1 << 14, 1, "downstream_remote_disconnect"),
    }
    vm.on_response(exchange, tracked);
    vm.on_finish(exchange, tracked);
}

pub fn share(vm: &Vm, region: &str) -> u8 {
    let id = vm.engine().topology().region_id(region).expect("known");
    vm.engine().view().share(id)
}

pub fn breaker(vm: &Vm, region: &str) -> &'static str {
    let id = vm.engine().topology().region_id(region).expect("known");
    vm.engine().state().regions[id.index()].breaker.state().as_str()
}

pub fn seconds(s: u64) -> u64 {
    Millis::from_secs(s).get()
}
