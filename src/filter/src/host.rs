//! What the filter needs of its host, and nothing more.

use evenkeel_policy::time::{Millis, Time};

/// The process around a VM: time, shared data, callouts, metrics.
pub trait Host {
    /// A point on a monotonic clock that all VMs of the process share.
    fn now(&self) -> Time;

    /// Milliseconds since 1970 UTC.
    fn unix_now(&self) -> u64;

    /// A value that all VMs of the process share, with its version.
    fn shared(&self, key: &str) -> Option<(Vec<u8>, Version)>;

    /// Writes a shared value. With a version, only if the value still has it; false if it has not.
    fn share(&self, key: &str, value: &[u8], version: Option<Version>) -> bool;

    /// Starts an HTTP request of the filter's own.
    ///
    /// # Errors
    /// At once, without a later answer, if it could not be started.
    fn call(&self, call: &Call<'_>) -> Result<Token, CallError>;

    /// Makes a metric known. Costs tens of microseconds: do it when configuring.
    fn metric(&self, kind: MetricKind, name: &str) -> Metric;

    /// Adds to a counter.
    fn count(&self, metric: Metric, by: i64);

    /// Sets a gauge, or adds a sample to a histogram.
    fn record(&self, metric: Metric, value: u64);

    /// The name of this Envoy in its own configuration (`node.id`), if it has one.
    fn node(&self) -> Option<String>;
}

/// One request of a client, while one of its callbacks runs.
pub trait Exchange {
    /// Shows every request header, in order. Values may hold any bytes.
    fn each_request_header(&self, see: &mut dyn FnMut(&[u8], &[u8]));

    /// Sets a request header, or removes it.
    fn set_request_header(&self, name: &str, value: Option<&[u8]>);

    /// Sets a response header.
    fn set_response_header(&self, name: &str, value: &[u8]);

    /// One of Envoy's attributes, raw.
    fn attribute(&self, attribute: Attribute) -> Option<Vec<u8>>;

    /// Answers the request without any upstream.
    fn respond(&self, status: http::StatusCode, headers: &[(&str, &str)], body: &str);
}

/// Envoy's attributes that the filter may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Attribute {
    /// `response.flags`, an `i64` in little endian.
    ResponseFlags,
    /// `response.code`, an `i64` in little endian.
    ResponseCode,
    /// `response.code_details`, text.
    ResponseCodeDetails,
    /// `response.grpc_status`, an `i64` in little endian.
    GrpcStatus,
    /// `upstream.request_attempt_count`, an `i64` in little endian.
    AttemptCount,
    /// The direct peer's address, as the rendered configuration leaves it in filter state.
    Peer,
    /// `source.address`: the client's address and port as Envoy trusts it.
    SourceAddress,
}

/// The version of a shared value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version(pub u32);

/// Names a call under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token(pub u32);

/// Names a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric(pub u32);

/// A request of the filter's own.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    /// The Envoy cluster it goes to.
    pub cluster: &'a str,
    /// Its headers, `:method`, `:path` and `:authority` among them.
    pub headers: &'a [(&'a str, &'a str)],
    /// Its body; none if empty.
    pub body: &'a [u8],
    /// How long it may take.
    pub timeout: Millis,
}

/// Why a call could not be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallError {
    /// Envoy has no such cluster.
    NoCluster,
    /// The cluster has no host to send it to.
    NoHost,
}

/// What a metric counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// It only grows.
    Counter,
    /// It shows the present value.
    Gauge,
    /// It shows how values are spread.
    Histogram,
}

/// The answer to a call; see [`Call`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The status, if there was an answer that could be read.
    pub status: Option<u16>,
    /// The value of `x-evenkeel-drain`, if it was text.
    pub drain: Option<String>,
}
