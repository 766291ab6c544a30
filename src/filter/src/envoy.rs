//! The one file that touches hostcalls: Envoy as a [`Host`] and an [`Exchange`], and the module's
//! entry points.
//!
//! The calls on the request path are declared here rather than taken from the SDK, whose wrappers
//! panic on a status they do not expect and copy every header into strings of its own.

use crate::edge::{Edge, TICK};
use crate::host::{Answer, Attribute, Call, CallError, Exchange, Host, Metric, MetricKind, Token, Version};
use crate::prober::DRAIN_HEADER;
use crate::request::Tracked;
use evenkeel_policy::time::Time;
use once_cell::unsync::OnceCell;
use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel, MapType, MetricType, Status};
use std::cell::RefCell;
use std::ptr::null_mut;
use std::time::UNIX_EPOCH;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::new(Root));
}}

thread_local! {
    // Statics outlive a root context: what is known survives a new configuration.
    static EDGE: OnceCell<RefCell<Edge<Envoy>>> = const { OnceCell::new() };
}

/// Runs with this VM's edge, if it has one.
fn with_edge<T>(run: impl FnOnce(&mut Edge<Envoy>) -> T) -> Option<T> {
    EDGE.with(|edge| edge.get().and_then(|edge| edge.try_borrow_mut().ok()).map(|mut edge| run(&mut edge)))
}

struct Root;

impl Context for Root {
    fn on_http_call_response(&mut self, token: u32, num_headers: usize, _: usize, _: usize) {
        // No headers: the stream was reset after it began. Asking for a header would then panic.
        let answer = if num_headers == 0 { Answer::default() } else { read_answer() };
        #[cfg(feature = "crash-test")]
        assert!(
            num_headers == 0 || map_value(MapType::HttpCallResponseHeaders, "x-crash-test").is_none(),
            "crashed as asked"
        );
        with_edge(|edge| edge.on_answer(Token(token), &answer));
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, _: usize) -> bool {
        let configuration =
            hostcalls::get_buffer(proxy_wasm::types::BufferType::PluginConfiguration, 0, usize::MAX);
        let configuration = configuration.ok().flatten().unwrap_or_default();
        let taken = EDGE.with(|known| match known.get() {
            Some(edge) => match edge.try_borrow_mut() {
                Ok(mut edge) => edge.reconfigure(&configuration).map_err(|error| error.to_string()),
                Err(_) => Err("the edge is busy".to_owned()),
            },
            None => known
                .get_or_try_init(|| Edge::new(Envoy, &configuration).map(RefCell::new))
                .map(|_| ())
                .map_err(|error| error.to_string()),
        });
        match taken {
            Ok(()) => {
                let _ = hostcalls::set_tick_period(TICK.to_duration());
                true
            }
            Err(errors) => {
                for error in errors.lines() {
                    log::error!("configuration: {error}");
                }
                false
            }
        }
    }

    fn on_tick(&mut self) {
        with_edge(Edge::on_tick);
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream { tracked: None }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

struct Stream {
    tracked: Option<Tracked>,
}

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        #[cfg(feature = "crash-test")]
        crash_if_asked();
        let refused = with_edge(|edge| {
            self.tracked = edge.on_request(&Envoy);
            self.tracked.is_none()
        });
        if refused == Some(true) { Action::Pause } else { Action::Continue }
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        if let Some(tracked) = &self.tracked {
            with_edge(|edge| edge.on_response(&Envoy, tracked));
        }
        Action::Continue
    }

    fn on_log(&mut self) {
        if let Some(tracked) = self.tracked.take() {
            with_edge(|edge| edge.on_finish(&Envoy, &tracked));
        }
    }
}

#[cfg(feature = "crash-test")]
fn crash_if_asked() {
    let mut asked = false;
    Envoy.each_request_header(&mut |name, _| asked |= name == b"x-crash-test");
    assert!(!asked, "crashed as asked");
}

fn read_answer() -> Answer {
    let header = |name: &str| {
        let value = map_value(MapType::HttpCallResponseHeaders, name)?;
        String::from_utf8(value).ok()
    };
    Answer { status: header(":status").and_then(|status| status.parse().ok()), drain: header(DRAIN_HEADER) }
}

/// Envoy, through its hostcalls.
#[derive(Clone, Copy, Debug)]
struct Envoy;

impl Host for Envoy {
    fn now(&self) -> Time {
        Time::from_millis(clock(Clock::Monotonic) / 1_000_000)
    }

    fn unix_now(&self) -> u64 {
        let now = hostcalls::get_current_time().unwrap_or(UNIX_EPOCH);
        now.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    fn shared(&self, key: &str) -> Option<(Vec<u8>, Version)> {
        let (mut data, mut size, mut version) = (null_mut(), 0, 0);
        // SAFETY: the host reads `key` and writes three values of its own; the data it returns was
        // allocated by this module for the caller.
        let bytes = unsafe {
            match proxy_get_shared_data(key.as_ptr(), key.len(), &mut data, &mut size, &mut version) {
                Status::Ok => taken(data, size),
                _ => return None,
            }
        };
        Some((bytes, Version(version)))
    }

    fn share(&self, key: &str, value: &[u8], version: Option<Version>) -> bool {
        let version = version.map_or(0, |Version(version)| version);
        // SAFETY: the host only reads the two slices.
        let status =
            unsafe { proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), version) };
        status == Status::Ok
    }

    fn call(&self, call: &Call<'_>) -> Result<Token, CallError> {
        let body = (!call.body.is_empty()).then_some(call.body);
        hostcalls::dispatch_http_call(
            call.cluster,
            call.headers.to_vec(),
            body,
            vec![],
            call.timeout.to_duration(),
        )
        .map(Token)
        .map_err(|status| match status {
            Status::BadArgument => CallError::NoCluster,
            _ => CallError::NoHost,
        })
    }

    fn metric(&self, kind: MetricKind, name: &str) -> Metric {
        let kind = match kind {
            MetricKind::Counter => MetricType::Counter,
            MetricKind::Gauge => MetricType::Gauge,
            MetricKind::Histogram => MetricType::Histogram,
        };
        Metric(hostcalls::define_metric(kind, name).unwrap_or(u32::MAX))
    }

    fn count(&self, metric: Metric, by: i64) {
        // SAFETY: two numbers. A metric that could not be defined is unknown to the host, which says so.
        unsafe { proxy_increment_metric(metric.0, by) };
    }

    fn record(&self, metric: Metric, value: u64) {
        // SAFETY: two numbers.
        unsafe { proxy_record_metric(metric.0, value) };
    }

    fn node(&self) -> Option<String> {
        // Envoy knows the node under `xds` alone.
        attribute(b"xds\0node\0id").and_then(|id| String::from_utf8(id).ok())
    }
}

impl Exchange for Envoy {
    fn each_request_header(&self, see: &mut dyn FnMut(&[u8], &[u8])) {
        let (mut data, mut size) = (null_mut(), 0);
        // SAFETY: as for shared data.
        let bytes = unsafe {
            match proxy_get_header_map_pairs(MapType::HttpRequestHeaders, &mut data, &mut size) {
                Status::Ok => taken(data, size),
                _ => return,
            }
        };
        each_pair(&bytes, see);
    }

    fn set_request_header(&self, name: &str, value: Option<&[u8]>) {
        set(MapType::HttpRequestHeaders, name, value);
    }

    fn set_response_header(&self, name: &str, value: &[u8]) {
        set(MapType::HttpResponseHeaders, name, Some(value));
    }

    fn attribute(&self, wanted: Attribute) -> Option<Vec<u8>> {
        attribute(match wanted {
            Attribute::ResponseFlags => b"response\0flags",
            Attribute::ResponseCode => b"response\0code",
            Attribute::ResponseCodeDetails => b"response\0code_details",
            Attribute::GrpcStatus => b"response\0grpc_status",
            Attribute::AttemptCount => b"upstream\0request_attempt_count",
            Attribute::Peer => b"filter_state\0evenkeel.peer",
            Attribute::SourceAddress => b"source\0address",
        })
    }

    fn respond(&self, status: http::StatusCode, headers: &[(&str, &str)], body: &str) {
        let sent = hostcalls::send_http_response(
            u32::from(status.as_u16()),
            headers.to_vec(),
            Some(body.as_bytes()),
        );
        if sent.is_err() {
            log::error!("a request could not be refused with {status}");
        }
    }
}

/// Walks a serialised header map: the number of pairs, the lengths of all names and values, then the
/// bytes themselves, each followed by a zero. All numbers are `u32` in little endian.
fn each_pair(bytes: &[u8], see: &mut dyn FnMut(&[u8], &[u8])) {
    let Some((count, rest)) = bytes.split_first_chunk::<4>() else { return };
    let count = u32::from_le_bytes(*count) as usize;
    let Some((sizes, mut data)) = rest.split_at_checked(count.saturating_mul(8)) else { return };
    for size in sizes.chunks_exact(8) {
        let (Some(name), Some(value)) = (size.first_chunk::<4>(), size.last_chunk::<4>()) else { return };
        let Some(name) = next(&mut data, u32::from_le_bytes(*name) as usize) else { return };
        let Some(value) = next(&mut data, u32::from_le_bytes(*value) as usize) else { return };
        see(name, value);
    }
}

fn next<'a>(data: &mut &'a [u8], size: usize) -> Option<&'a [u8]> {
    let (item, rest) = data.split_at_checked(size)?;
    *data = rest.get(1..)?;
    Some(item)
}

fn set(map: MapType, name: &str, value: Option<&[u8]>) {
    // SAFETY: the host only reads the slices.
    unsafe {
        match value {
            Some(value) => {
                proxy_replace_header_map_value(map, name.as_ptr(), name.len(), value.as_ptr(), value.len())
            }
            None => proxy_remove_header_map_value(map, name.as_ptr(), name.len()),
        }
    };
}

fn map_value(map: MapType, name: &str) -> Option<Vec<u8>> {
    let (mut data, mut size) = (null_mut(), 0);
    // SAFETY: as for shared data.
    unsafe {
        match proxy_get_header_map_value(map, name.as_ptr(), name.len(), &mut data, &mut size) {
            Status::Ok if !data.is_null() => Some(taken(data, size)),
            _ => None,
        }
    }
}

/// An attribute by its path, whose parts are parted by zeros.
fn attribute(path: &[u8]) -> Option<Vec<u8>> {
    let (mut data, mut size) = (null_mut(), 0);
    // SAFETY: as for shared data.
    unsafe {
        match proxy_get_property(path.as_ptr(), path.len(), &mut data, &mut size) {
            Status::Ok if !data.is_null() => Some(taken(data, size)),
            _ => None,
        }
    }
}

#[derive(Clone, Copy)]
#[repr(u32)]
enum Clock {
    Monotonic = 1,
}

fn clock(clock: Clock) -> u64 {
    let mut nanoseconds = 0;
    // SAFETY: the host writes one number.
    unsafe { clock_time_get(clock as u32, 1, &mut nanoseconds) };
    nanoseconds
}

/// Takes over memory that the host allocated through this module's allocator.
///
/// # Safety
/// `data` must be null or come from `proxy_on_memory_allocate` with exactly `size` bytes.
unsafe fn taken(data: *mut u8, size: usize) -> Vec<u8> {
    if data.is_null() {
        return Vec::new();
    }
    // SAFETY: the caller's promise; the SDK's allocator makes a Vec of this capacity.
    unsafe { Vec::from_raw_parts(data, size, size) }
}

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_get_header_map_pairs(map: MapType, data: *mut *mut u8, size: *mut usize) -> Status;
    fn proxy_get_header_map_value(
        map: MapType,
        name: *const u8,
        name_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> Status;
    fn proxy_replace_header_map_value(
        map: MapType,
        name: *const u8,
        name_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> Status;
    fn proxy_remove_header_map_value(map: MapType, name: *const u8, name_size: usize) -> Status;
    fn proxy_get_property(path: *const u8, path_size: usize, data: *mut *mut u8, size: *mut usize) -> Status;
    fn proxy_get_shared_data(
        key: *const u8,
        key_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
        version: *mut u32,
    ) -> Status;
    fn proxy_set_shared_data(
        key: *const u8,
        key_size: usize,
        value: *const u8,
        value_size: usize,
        version: u32,
    ) -> Status;
    fn proxy_increment_metric(metric: u32, by: i64) -> Status;
    fn proxy_record_metric(metric: u32, value: u64) -> Status;
}

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    fn clock_time_get(clock: u32, precision: u64, nanoseconds: *mut u64) -> u16;
}
