//! Where a client is, by a MaxMind database.

use evenkeel_policy::dns::{Client, Subdivision};
use evenkeel_policy::geography::{Continent, Country};
use maxminddb::{Reader, path};
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// How many entries are kept decoded. A country database has about 500, so that all of it stays.
const KEPT: usize = 4096;

/// An open database, held in memory: a file that is replaced meanwhile does no harm.
#[derive(Clone)]
pub struct Places(Arc<Database>);

struct Database {
    reader: Reader<Vec<u8>>,
    /// Entries by their place in the file. Decoding one takes longer than everything else together that
    /// an answer needs, and many networks share one.
    kept: Vec<Mutex<Option<(usize, Client)>>>,
}

/// Where an address is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Whereabouts {
    pub(crate) client: Client,
    /// The prefix length of the network of which the database says so, in the address's own family.
    pub(crate) prefix: u8,
}

impl Places {
    /// Reads the whole file.
    ///
    /// # Errors
    /// A line that names the field, the file and the remedy.
    pub fn open(path: &Path) -> Result<Places, String> {
        let refused = |error: &dyn std::fmt::Display| {
            let remedy = "give a MaxMind country or city database (.mmdb)";
            format!("dns.geoip.database: {}: cannot be read: {error}: {remedy}", path.display())
        };
        let bytes = std::fs::read(path).map_err(|error| refused(&error))?;
        Places::from_bytes(bytes).map_err(|error| refused(&error))
    }

    /// The same, of what was read already.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Places, String> {
        let reader = Reader::from_source(bytes).map_err(|error| error.to_string())?;
        let kept = (0..KEPT).map(|_| Mutex::new(None)).collect();
        Ok(Places(Arc::new(Database { reader, kept })))
    }

    /// Where the address is. Where the database says nothing, nobody knows.
    pub(crate) fn find(&self, address: IpAddr) -> Whereabouts {
        let canonical = address.to_canonical();
        let Ok(found) = self.0.reader.lookup(canonical) else { return Whereabouts::default() };
        // An IPv4 address in a database without IPv4 is found in an IPv6 network that holds all of IPv4.
        let prefix = found.network().map_or(0, |network| match (network.ip(), canonical) {
            (IpAddr::V6(_), IpAddr::V4(_)) => 0,
            _ => network.prefix(),
        });
        // The last 32 bits of an IPv4-mapped address are the IPv4 address.
        let mapped = canonical.is_ipv4() && address.is_ipv6();
        let prefix = if mapped { prefix + 96 } else { prefix };
        let Some(offset) = found.offset() else { return Whereabouts { client: Client::default(), prefix } };

        let slot = self.0.kept.get(offset % KEPT);
        if let Some(Ok(kept)) = slot.map(Mutex::try_lock)
            && let Some((at, client)) = *kept
            && at == offset
        {
            return Whereabouts { client, prefix };
        }
        let client = decode(&found);
        if let Some(Ok(mut kept)) = slot.map(Mutex::try_lock) {
            *kept = Some((offset, client));
        }
        Whereabouts { client, prefix }
    }

    /// The network of which the database says where it is, as `203.0.113.0/24`.
    pub(crate) fn network(&self, address: IpAddr) -> Option<String> {
        let found = self.0.reader.lookup(address.to_canonical()).ok()?;
        found.has_data().then(|| found.network().ok()).flatten().map(|network| network.to_string())
    }
}

/// What is damaged or missing counts as unknown.
fn decode(found: &maxminddb::LookupResult<'_, Vec<u8>>) -> Client {
    let text = |path: &[maxminddb::PathElement<'_>]| found.decode_path::<&str>(path).ok().flatten();
    let country = text(&path!["country", "iso_code"]).and_then(|code| Country::parse(code.as_bytes()));
    let continent = text(&path!["continent", "code"]).and_then(|code| Continent::parse(code.as_bytes()));
    let subdivision = country.and_then(|country| {
        Subdivision::new(country, text(&path!["subdivisions", 0, "iso_code"])?.as_bytes())
    });
    // Continents follow Route 53 wherever the country is known; databases differ at the borders.
    let continent = country.and_then(Country::continent).or(continent);
    Client { subdivision, country, continent }
}

impl std::fmt::Debug for Places {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Places").field("metadata", self.0.reader.metadata()).finish_non_exhaustive()
    }
}
