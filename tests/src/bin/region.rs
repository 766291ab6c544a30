//! `region NAME PORT`: a region that answers everything with 200, for the tests that stop or kill a
//! real process.

use evenkeel_tests::Region;
use evenkeel_tests::port::Port;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(name), Some(port)) = (arguments.next(), arguments.next().and_then(|port| port.parse().ok()))
    else {
        eprintln!("usage: region NAME PORT");
        std::process::exit(2);
    };
    let _region = Region::start_at(&name, Port::at(port));
    std::future::pending::<()>().await;
}
