//! The server on its sockets.

use crate::support::{Answer, PLACES, Question, ZONE, mmdb, question, settings, standing};
use domain::base::iana::Rtype;
use evenkeel_dns::{Server, Standing, Transport};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::{Instant, timeout};

async fn start(file: &str) -> Server {
    Server::start(settings(file), Standing::default()).await.expect("a port is free")
}

fn address(server: &Server) -> SocketAddr {
    server.addresses()[0]
}

/// Asks by UDP. A datagram that is lost is asked again.
async fn by_udp(server: &Server, question: &Question) -> Answer {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(address(server)).await.unwrap();
    let mut bytes = [0; 2048];
    for _ in 0..20 {
        socket.send(&question.bytes()).await.unwrap();
        if let Ok(length) = timeout(Duration::from_secs(1), socket.recv(&mut bytes)).await {
            return Answer::read(bytes[..length.unwrap()].to_vec());
        }
    }
    panic!("nobody answers on {}", address(server));
}

fn framed(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat()
}

async fn next(stream: &mut TcpStream) -> Answer {
    let length = stream.read_u16().await.expect("a length");
    let mut bytes = vec![0; usize::from(length)];
    stream.read_exact(&mut bytes).await.expect("as long as it says");
    Answer::read(bytes)
}

async fn by_tcp(server: &Server, question: &Question) -> Answer {
    let mut stream = TcpStream::connect(address(server)).await.unwrap();
    stream.write_all(&framed(&question.bytes())).await.unwrap();
    next(&mut stream).await
}

#[tokio::test]
async fn both_transports_answer_on_one_port_and_are_counted() {
    let server = start(ZONE).await;
    assert_ne!(address(&server).port(), 0);
    assert_eq!(by_udp(&server, &question("static.example.com", Rtype::A)).await.data().len(), 2);
    assert_eq!(by_udp(&server, &question("big.example.com", Rtype::TXT)).await.flags, "qr aa tc rd");
    assert_eq!(by_tcp(&server, &question("big.example.com", Rtype::TXT)).await.answers.len(), 11);
    assert_eq!(by_tcp(&server, &question("either.example.com", Rtype::A)).await.data(), ["192.0.2.1"]);
    by_tcp(&server, &question("static.example.com", Rtype::MX)).await;
    by_tcp(&server, &question("some-places.example.com", Rtype::A)).await;
    by_tcp(&server, &question("none.example.com", Rtype::A)).await;
    by_tcp(&server, &question("example.net", Rtype::A)).await;
    by_tcp(&server, &question("www.example.com", Rtype::A).option(8, &[1])).await;

    let counts = server.counts();
    assert_eq!((counts.queries["udp"], counts.queries["tcp"]), (2, 7));
    let responses: Vec<_> = counts.responses.iter().map(|(code, count)| (code.as_str(), *count)).collect();
    assert_eq!(responses, [("FORMERR", 1), ("NOERROR", 6), ("NXDOMAIN", 1), ("REFUSED", 1)]);
    let answers: Vec<_> =
        counts.answers.iter().map(|a| (a.record.as_str(), a.region.as_str(), a.count)).collect();
    assert_eq!(answers, [("big", "none", 1), ("either", "taiwan", 1), ("static", "none", 1)]);
    assert_eq!((counts.reasons["simple"], counts.reasons["primary"], counts.reasons["no_answer"]), (2, 1, 1));
    assert_eq!((counts.truncated, counts.dropped, counts.slipped, counts.malformed), (1, 0, 0, 1));
    let json = serde_json::to_value(&counts).unwrap();
    assert_eq!(json["answers"][1]["region"], "taiwan");
    server.stop().await;
}

/// R1, by datagrams: within two points of 60/40.
#[tokio::test]
async fn ten_thousand_answers_keep_the_weights() {
    let server = start(ZONE).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(address(&server)).await.unwrap();
    let (request, mut bytes) = (question("www.example.com", Rtype::A).bytes(), [0; 2048]);
    let (mut taiwan, mut japan) = (0_u32, 0_u32);
    while taiwan + japan < 10_000 {
        socket.send(&request).await.unwrap();
        let Ok(length) = timeout(Duration::from_secs(1), socket.recv(&mut bytes)).await else { continue };
        match Answer::read(bytes[..length.unwrap()].to_vec()).data()[0].as_str() {
            "192.0.2.1" => taiwan += 1,
            "192.0.2.2" => japan += 1,
            other => panic!("{other}"),
        }
    }
    assert!((5_800..=6_200).contains(&taiwan), "{taiwan} of 10,000");
    let counted = server.counts().answers.iter().map(|answer| answer.count).sum::<u64>();
    assert!(counted >= 10_000, "{counted}");
    server.stop().await;
}

#[tokio::test]
async fn a_connection_carries_any_number_of_questions_at_once() {
    let server = start(ZONE).await;
    let stream = TcpStream::connect(address(&server)).await.unwrap();
    let (mut reading, mut writing) = stream.into_split();
    let asking = tokio::spawn(async move {
        for number in 0..3000_u16 {
            let mut bytes = question("static.example.com", Rtype::A).bytes();
            bytes[..2].copy_from_slice(&number.to_be_bytes());
            writing.write_all(&framed(&bytes)).await.unwrap();
        }
        writing
    });
    for number in 0..3000_u16 {
        let length = reading.read_u16().await.unwrap();
        let mut bytes = vec![0; usize::from(length)];
        reading.read_exact(&mut bytes).await.unwrap();
        assert_eq!(bytes[..2], number.to_be_bytes(), "in order");
    }
    drop(asking.await.unwrap());
    server.stop().await;
}

#[tokio::test]
async fn a_question_in_pieces_is_put_together() {
    let server = start(ZONE).await;
    let mut stream = TcpStream::connect(address(&server)).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for byte in framed(&question("static.example.com", Rtype::A).bytes()) {
        stream.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(next(&mut stream).await.answers.len(), 2);
    // Closed for writing, it is still answered.
    stream.write_all(&framed(&question("slow.example.com", Rtype::A).bytes())).await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(next(&mut stream).await.answers.len(), 1);
    assert_eq!(stream.read(&mut [0; 9]).await.unwrap(), 0);
    server.stop().await;
}

#[tokio::test]
async fn what_is_no_question_ends_its_connection_alone() {
    let server = start(ZONE).await;
    let mut other = TcpStream::connect(address(&server)).await.unwrap();
    for garbage in [&[0, 0][..], &[0, 11, 1, 2, 3], &[0xff, 0xff], b"GET / HTTP/1.1\r\n\r\n"] {
        let mut stream = TcpStream::connect(address(&server)).await.unwrap();
        // A question before it gets its answer.
        stream.write_all(&framed(&question("static.example.com", Rtype::A).bytes())).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        assert_eq!(next(&mut stream).await.answers.len(), 2);
        let ended = timeout(Duration::from_secs(5), stream.read(&mut [0; 9])).await.expect("it is closed");
        assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    }
    // A response is met with silence, and the connection goes on.
    let mut response = question("static.example.com", Rtype::A).bytes();
    response[2] |= 0x80;
    other.write_all(&framed(&response)).await.unwrap();
    other.write_all(&framed(&question("slow.example.com", Rtype::A).bytes())).await.unwrap();
    assert_eq!(next(&mut other).await.data(), ["192.0.2.11"]);
    assert_eq!(server.counts().malformed, 5);
    server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn whoever_idles_or_sends_slowly_is_cut_off() {
    let server = start(ZONE).await;
    let begun = Instant::now();
    let mut idle = TcpStream::connect(address(&server)).await.unwrap();
    assert_eq!(idle.read(&mut [0; 9]).await.unwrap(), 0);
    assert!((10..12).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());

    let mut slow = TcpStream::connect(address(&server)).await.unwrap();
    slow.write_all(&framed(&question("static.example.com", Rtype::A).bytes())).await.unwrap();
    assert_eq!(next(&mut slow).await.answers.len(), 2);
    let begun = Instant::now();
    for byte in framed(&question("static.example.com", Rtype::A).bytes()) {
        tokio::time::sleep(Duration::from_secs(3)).await;
        if slow.write_all(&[byte]).await.is_err() {
            break;
        }
    }
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    server.stop().await;
}

#[tokio::test]
async fn health_and_zones_are_taken_up_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("places.mmdb");
    mmdb::write(&database, &PLACES);
    let mut with_places = settings(ZONE);
    with_places.geoip = Some(database.clone());
    let server = Server::start(with_places.clone(), Standing::default()).await.unwrap();
    let by_place = question("by-place.example.com", Rtype::A).subnet("203.0.113.0/24");
    assert_eq!(by_udp(&server, &by_place).await.data(), ["192.0.2.2"]);

    server.set(standing([0, 100, 100, 100]));
    assert_eq!(by_udp(&server, &question("either.example.com", Rtype::A)).await.data(), ["192.0.2.2"]);
    assert_eq!(
        server.explain("either.example.com", "A", "10.0.0.1".parse().unwrap()).unwrap().reason,
        "failover"
    );

    // The database is another one now.
    mmdb::write(&database, &[("203.0.113.0/25", "NA", "US", "NV")]);
    assert_eq!(by_udp(&server, &by_place).await.data(), ["192.0.2.2"], "until somebody says so");
    assert_eq!(server.reload(with_places.clone()).unwrap(), Vec::<String>::new());
    let moved = by_udp(&server, &by_place).await;
    assert_eq!((moved.data(), moved.scope()), (vec!["192.0.2.22".to_owned()], Some(25)));
    assert_eq!(by_udp(&server, &question("either.example.com", Rtype::A)).await.data(), ["192.0.2.2"]);

    // A damaged one is refused, with the zone that came with it.
    std::fs::write(&database, b"no database").unwrap();
    let mut changed = settings(&ZONE.replace("192.0.2.9, 192.0.2.10", "192.0.2.99"));
    changed.geoip = Some(database.clone());
    let error = server.reload(changed.clone()).unwrap_err();
    assert!(
        error.starts_with(&format!("dns.geoip.database: {}: cannot be read: ", database.display())),
        "{error}"
    );
    assert!(error.ends_with(": give a MaxMind country or city database (.mmdb)"), "{error}");
    assert_eq!(by_udp(&server, &question("static.example.com", Rtype::A)).await.data().len(), 2);
    assert_eq!(by_udp(&server, &by_place).await.data(), ["192.0.2.22"]);

    changed.geoip = None;
    changed.listen = vec!["127.0.0.1:1".parse().unwrap()];
    assert_eq!(server.reload(changed).unwrap(), ["dns.listen"]);
    assert_eq!(by_udp(&server, &question("static.example.com", Rtype::A)).await.data(), ["192.0.2.99"]);
    // Counts go on by names, whatever the zones.
    let counts = server.counts();
    let either = counts.answers.iter().find(|answer| answer.record == "either").unwrap();
    assert_eq!((either.region.as_str(), either.count), ("japan", 2));
    server.stop().await;
}

#[tokio::test]
async fn what_cannot_be_started_says_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut there = settings(ZONE);
    there.listen = vec![taken.local_addr().unwrap()];
    let error = Server::start(there.clone(), Standing::default()).await.err().expect("it is taken");
    let field = format!("dns.listen: {}: cannot listen: ", there.listen[0]);
    assert!(error.starts_with(&field), "{error}");
    assert!(error.ends_with(": stop what listens there, or choose another port"), "{error}");

    there.listen = vec!["192.0.2.1:0".parse().unwrap()];
    let error = Server::start(there, Standing::default()).await.err().expect("that is not ours");
    assert!(error.ends_with(": this machine has no such address: choose one of its own"), "{error}");

    let mut nowhere = settings(ZONE);
    nowhere.geoip = Some("/nonexistent/places.mmdb".into());
    let error = Server::start(nowhere, Standing::default()).await.err().expect("there is no file");
    assert!(error.starts_with("dns.geoip.database: /nonexistent/places.mmdb: cannot be read: "), "{error}");
}

/// Sockets by UDP could be shared without anybody noticing.
#[tokio::test]
async fn two_servers_do_not_share_an_address() {
    let first = start(ZONE).await;
    let mut same = settings(ZONE);
    same.listen = first.addresses().to_vec();
    let error = Server::start(same.clone(), Standing::default()).await.err().expect("it is taken");
    assert!(error.contains("cannot listen"), "{error}");
    first.stop().await;
    let second = Server::start(same, Standing::default()).await.expect("it is free at once");
    assert_eq!(by_udp(&second, &question("static.example.com", Rtype::A)).await.answers.len(), 2);
    second.stop().await;
}

#[tokio::test]
async fn stopped_it_answers_nobody() {
    let server = start(ZONE).await;
    let mut open = TcpStream::connect(address(&server)).await.unwrap();
    open.write_all(&framed(&question("static.example.com", Rtype::A).bytes())).await.unwrap();
    assert_eq!(next(&mut open).await.answers.len(), 2);
    timeout(Duration::from_secs(5), server.stop()).await.expect("it stops at once");
    assert_eq!(open.read(&mut [0; 9]).await.unwrap(), 0);
    assert!(TcpStream::connect(address(&server)).await.is_err());
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(address(&server)).await.unwrap();
    // The system itself says that nobody is there.
    let refused = async {
        loop {
            let _ = socket.send(&question("static.example.com", Rtype::A).bytes()).await;
            if let Err(error) = socket.recv(&mut [0; 512]).await {
                return error.kind();
            }
        }
    };
    let kind = timeout(Duration::from_secs(5), refused).await.expect("it is refused");
    assert_eq!(kind, std::io::ErrorKind::ConnectionRefused);
    server.stop().await;
}

#[tokio::test]
async fn several_addresses_and_both_families() {
    let mut everywhere = settings(ZONE);
    everywhere.listen =
        vec!["127.0.0.1:0".parse().unwrap(), "[::1]:0".parse().unwrap(), "127.0.0.2:0".parse().unwrap()];
    let server = Server::start(everywhere, Standing::default()).await.unwrap();
    assert_eq!(server.addresses().len(), 3);
    for address in server.addresses() {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(&framed(&question("static.example.com", Rtype::A).bytes())).await.unwrap();
        assert_eq!(next(&mut stream).await.answers.len(), 2, "{address}");
    }
    let v6 = server.addresses()[1];
    let socket = UdpSocket::bind("[::1]:0").await.unwrap();
    socket.connect(v6).await.unwrap();
    socket.send(&question("static.example.com", Rtype::A).bytes()).await.unwrap();
    let mut bytes = [0; 2048];
    let length = timeout(Duration::from_secs(5), socket.recv(&mut bytes)).await.unwrap().unwrap();
    assert_eq!(Answer::read(bytes[..length].to_vec()).answers.len(), 2);
    server.stop().await;
}

/// A connected socket takes nothing from another address than it asked.
#[tokio::test]
async fn bound_to_every_address_it_answers_from_the_one_that_was_asked() {
    let mut everywhere = settings(ZONE);
    everywhere.listen = vec!["0.0.0.0:0".parse().unwrap(), "[::]:0".parse().unwrap()];
    let server = Server::start(everywhere, Standing::default()).await.unwrap();
    let ports = [server.addresses()[0].port(), server.addresses()[1].port()];
    for (from, asked) in [
        ("127.0.0.1:0", format!("127.0.0.1:{}", ports[0])),
        ("127.0.0.1:0", format!("127.0.0.2:{}", ports[0])),
        ("127.0.0.1:0", format!("127.9.9.9:{}", ports[0])),
        ("[::1]:0", format!("[::1]:{}", ports[1])),
    ] {
        let socket = UdpSocket::bind(from).await.unwrap();
        socket.connect(&asked).await.unwrap();
        let mut bytes = [0; 2048];
        let answered = async {
            loop {
                socket.send(&question("static.example.com", Rtype::A).bytes()).await.unwrap();
                if let Ok(length) = timeout(Duration::from_secs(1), socket.recv(&mut bytes)).await {
                    return length.unwrap();
                }
            }
        };
        let length = timeout(Duration::from_secs(10), answered).await.unwrap_or_else(|_| panic!("{asked}"));
        assert_eq!(Answer::read(bytes[..length].to_vec()).answers.len(), 2, "{asked}");
    }
    server.stop().await;
}

#[tokio::test]
async fn the_rate_limit_holds_by_udp_and_is_counted() {
    let limit = "rate_limit: {responses_per_second: 5, slip: 1}";
    let server = start(&ZONE.replace("rate_limit: {responses_per_second: 0}", limit)).await;
    let mut truncated = 0;
    for _ in 0..50 {
        let answer = by_udp(&server, &question("static.example.com", Rtype::A)).await;
        truncated += u32::from(answer.flags.contains("tc"));
    }
    assert!(truncated >= 1, "fifty within a second or ten");
    let asked = question("static.example.com", Rtype::A);
    for _ in 0..50 {
        assert_eq!(by_tcp(&server, &asked).await.answers.len(), 2);
    }
    let counts = server.counts();
    assert_eq!((counts.slipped, counts.truncated, counts.dropped), (u64::from(truncated), 0, 0));
    assert_eq!(Transport::Udp.as_str(), "udp");
    server.stop().await;
}
