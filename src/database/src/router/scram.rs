//! SCRAM-SHA-256 as a server speaks it (RFC 5802, RFC 7677, in PostgreSQL's dialect).
//!
//! Pure: bytes in, bytes out. A stranger's every message is parsed here before anything is known of
//! him, so each form is checked to the letter and nothing panics. Channel binding is not offered:
//! a client that could bind (`y`) is served, one that insists (`p`) is refused.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use subtle::{Choice, ConstantTimeEq};

/// The mechanism's name.
pub const MECHANISM: &str = "SCRAM-SHA-256";

/// Rounds of PBKDF2 for passwords: PostgreSQL's own default.
pub const ITERATIONS: u32 = 4096;

/// The most rounds a verifier may name. Clients refuse more: pgjdbc and rust-postgres at 100,000.
const MAX_ITERATIONS: u32 = 100_000;

/// Bytes of salt, as PostgreSQL draws them.
pub const SALT_BYTES: usize = 16;

/// Random bytes of the server's half of the nonce: PostgreSQL's `SCRAM_RAW_NONCE_LEN`.
pub const NONCE_BYTES: usize = 18;

/// What the server keeps of a password: enough to check a proof, not enough to make one.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier {
    iterations: u32,
    salt: Vec<u8>,
    stored_key: [u8; 32],
    server_key: [u8; 32],
}

impl Verifier {
    /// The verifier of a password.
    pub fn of(password: &str, salt: &[u8], iterations: u32) -> Self {
        let password = prepared(password);
        let mut salted = [0; 32];
        pbkdf2::pbkdf2_hmac::<Sha256>(password.as_bytes(), salt, iterations, &mut salted);
        let stored_key = Sha256::digest(hmac(&salted, &[b"Client Key"])).into();
        Verifier { iterations, salt: salt.to_vec(), stored_key, server_key: hmac(&salted, &[b"Server Key"]) }
    }

    /// A verifier that no password fits, with the form of a real one: it answers for users that do
    /// not exist, at the same cost.
    pub fn unmatched(salt: &[u8]) -> Self {
        Verifier { iterations: ITERATIONS, salt: salt.to_vec(), stored_key: [0; 32], server_key: [0; 32] }
    }
}

/// SASLprep where the password allows it, else as it is: what PostgreSQL and its clients do.
fn prepared(password: &str) -> Cow<'_, str> {
    stringprep::saslprep(password).unwrap_or(Cow::Borrowed(password))
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier(…)")
    }
}

impl FromStr for Verifier {
    type Err = &'static str;

    /// Reads PostgreSQL's form, `SCRAM-SHA-256$4096:salt$stored key:server key`.
    ///
    /// # Errors
    /// What is wrong, without a byte of the verifier.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str =
            "has not the form SCRAM-SHA-256$iterations:salt$stored:server, as pg_authid.rolpassword holds it";
        let rest = text.strip_prefix("SCRAM-SHA-256$").ok_or(FORM)?;
        let (parameters, keys) = rest.split_once('$').ok_or(FORM)?;
        let (iterations, salt) = parameters.split_once(':').ok_or(FORM)?;
        let (stored, server) = keys.split_once(':').ok_or(FORM)?;
        let iterations = iterations.parse().map_err(|_| FORM)?;
        if !(1..=MAX_ITERATIONS).contains(&iterations) {
            return Err("has more iterations than clients accept: 1 to 100000");
        }
        let salt = STANDARD.decode(salt).map_err(|_| FORM)?;
        if salt.is_empty() || salt.len() > 255 {
            return Err("has a salt that is empty or longer than 255 bytes");
        }
        let key = |text: &str| STANDARD.decode(text).ok().and_then(|key| <[u8; 32]>::try_from(key).ok());
        Ok(Verifier {
            iterations,
            salt,
            stored_key: key(stored).ok_or(FORM)?,
            server_key: key(server).ok_or(FORM)?,
        })
    }
}

/// Why an exchange cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScramError {
    /// A message has not the form that the RFC gives it.
    #[error("malformed SCRAM message: {0}")]
    Malformed(&'static str),
    /// A valid wish that is not fulfilled.
    #[error("{0}")]
    Unsupported(&'static str),
    /// The proof does not fit: the password is wrong, or there is no such user.
    #[error("the proof does not fit")]
    Refused,
}

/// An exchange after the client's first message.
#[derive(Debug)]
pub struct Exchange {
    verifier: Verifier,
    /// `biws` or `eSws`: what the last message must repeat of the first.
    binding: &'static str,
    /// Both halves.
    nonce: String,
    /// The client's first message without its header, the server's first message.
    messages: String,
    /// Where the server's begins.
    server_at: usize,
}

impl Exchange {
    /// Reads the client's first message. `random` is the server's half of the nonce, drawn anew for
    /// each exchange.
    ///
    /// # Errors
    /// If it is malformed, or asks for channel binding, another identity or an extension.
    pub fn begin(
        verifier: Verifier,
        message: &[u8],
        random: &[u8; NONCE_BYTES],
    ) -> Result<Exchange, ScramError> {
        let message = text(message)?;
        let (flag, rest) = message.split_once(',').ok_or(ScramError::Malformed("no channel binding flag"))?;
        let binding = match flag {
            "n" => "biws",
            "y" => "eSws",
            _ if flag.starts_with("p=") => {
                return Err(ScramError::Unsupported(
                    "channel binding is not offered: use channel_binding=prefer or disable",
                ));
            }
            _ => return Err(ScramError::Malformed("unknown channel binding flag")),
        };
        let (identity, bare) = rest.split_once(',').ok_or(ScramError::Malformed("no user name"))?;
        if !identity.is_empty() {
            return Err(ScramError::Unsupported("an authorization identity is not supported"));
        }
        if bare.starts_with("m=") {
            return Err(ScramError::Unsupported("a mandatory SCRAM extension is not supported"));
        }
        let mut attributes = bare.split(',');
        // The name that counts is the startup packet's; PostgreSQL ignores this one as well.
        attributes
            .next()
            .and_then(|name| name.strip_prefix("n="))
            .ok_or(ScramError::Malformed("no user name"))?;
        let nonce = attributes
            .next()
            .and_then(|nonce| nonce.strip_prefix("r="))
            .filter(|nonce| is_nonce(nonce))
            .ok_or(ScramError::Malformed("no nonce, or one with odd characters"))?;
        let nonce = format!("{nonce}{}", STANDARD.encode(random));
        let (salt, iterations) = (STANDARD.encode(&verifier.salt), verifier.iterations);
        let messages = format!("{bare},r={nonce},s={salt},i={iterations}");
        Ok(Exchange { verifier, binding, nonce, messages, server_at: bare.len() + 1 })
    }

    /// The server's first message.
    pub fn challenge(&self) -> &[u8] {
        self.messages.as_bytes().get(self.server_at..).unwrap_or_default()
    }

    /// Reads the client's last message; gives the server's last one, which proves to the client that
    /// the server knows the verifier.
    ///
    /// # Errors
    /// If it is malformed, belongs to another exchange, or its proof does not fit.
    pub fn finish(self, message: &[u8]) -> Result<String, ScramError> {
        let message = text(message)?;
        let (unproven, proof) = message.rsplit_once(",p=").ok_or(ScramError::Malformed("no proof"))?;
        let mut attributes = unproven.split(',');
        if attributes.next().and_then(|binding| binding.strip_prefix("c=")) != Some(self.binding) {
            return Err(ScramError::Malformed("the channel binding is not the first message's"));
        }
        let nonce = attributes.next().and_then(|nonce| nonce.strip_prefix("r="));
        if nonce != Some(self.nonce.as_str()) {
            return Err(ScramError::Malformed("the nonce is not this exchange's"));
        }
        let proof = STANDARD.decode(proof).ok().and_then(|proof| <[u8; 32]>::try_from(proof).ok());
        let proof = proof.ok_or(ScramError::Malformed("the proof is not 32 bytes in base64"))?;

        let signed: [&[u8]; 3] = [self.messages.as_bytes(), b",", unproven.as_bytes()];
        let mut client_key = hmac(&self.verifier.stored_key, &signed);
        for (key, proof) in client_key.iter_mut().zip(proof) {
            *key ^= proof;
        }
        let known: [u8; 32] = Sha256::digest(client_key).into();
        // Both are worked out whatever the first comparison says: a refusal takes as long as a welcome.
        let signature = hmac(&self.verifier.server_key, &signed);
        let fits: Choice = known.ct_eq(&self.verifier.stored_key);
        if bool::from(fits) {
            Ok(format!("v={}", STANDARD.encode(signature)))
        } else {
            Err(ScramError::Refused)
        }
    }
}

/// HMAC-SHA-256 of the parts, one after another.
pub(crate) fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    // HMAC itself fills a key up to its block with zeros; done here, no length can be wrong.
    let mut block = [0; 64];
    block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    let mut mac = Hmac::<Sha256>::new(&block.into());
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

fn text(message: &[u8]) -> Result<&str, ScramError> {
    std::str::from_utf8(message).map_err(|_| ScramError::Malformed("not UTF-8"))
}

/// RFC 5802's `printable`: any visible ASCII character but the comma.
fn is_nonce(nonce: &str) -> bool {
    !nonce.is_empty() && nonce.bytes().all(|b| b.is_ascii_graphic() && b != b',')
}

#[cfg(test)]
mod tests {
    use super::*;
    use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
    use proptest::prelude::*;

    /// RFC 7677, section 3, but for the server's half of the nonce, which is not base64 of 18 bytes.
    #[test]
    fn the_rfcs_own_example_gives_the_rfcs_own_signature() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let bare = "n=user,r=rOprNGfwEbeRWgbNEkqO";
        let exchange = Exchange {
            verifier: Verifier::of("pencil", &salt, 4096),
            binding: "biws",
            nonce: nonce.to_owned(),
            messages: format!("{bare},r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"),
            server_at: bare.len() + 1,
        };
        assert_eq!(exchange.challenge(), format!("r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096").as_bytes());
        let last = format!("c=biws,r={nonce},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
        let signature = exchange.finish(last.as_bytes()).expect("the RFC's own proof fits");
        assert_eq!(signature, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }

    fn exchange(verifier: Verifier, password: &str) -> Result<(), ScramError> {
        let mut client = ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
        let exchange = Exchange::begin(verifier, client.message(), &[7; NONCE_BYTES])?;
        client.update(exchange.challenge()).expect("the client understands the challenge");
        let last = exchange.finish(client.message())?;
        client.finish(last.as_bytes()).expect("the client believes the signature");
        Ok(())
    }

    #[test]
    fn a_client_that_is_not_ours_agrees() {
        for password in ["secret", "pässwörd", "Ⅸ\u{00ad}x", "with\u{0007}bell", " ", "a,b=c"] {
            let verifier = Verifier::of(password, b"0123456789abcdef", 16);
            assert_eq!(exchange(verifier.clone(), password), Ok(()), "{password:?}");
            assert_eq!(exchange(verifier, "other"), Err(ScramError::Refused), "{password:?}");
        }
        assert_eq!(exchange(Verifier::unmatched(b"salt"), "secret"), Err(ScramError::Refused));
    }

    #[test]
    fn compatible_forms_count_as_one_password() {
        // SASLprep: a Roman numeral nine is IX, a soft hyphen is nothing.
        let verifier = Verifier::of("IX", b"0123456789abcdef", 16);
        assert_eq!(exchange(verifier, "\u{2168}\u{00ad}"), Ok(()));
    }

    /// RFC 7677's password and salt; the keys were computed by Python's hashlib.
    #[test]
    fn verifiers_are_read_in_postgresqls_form() {
        let made = Verifier::of("pencil", &STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap(), 4096);
        let text = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$\
                    WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
        assert_eq!(text.parse(), Ok(made));
    }

    #[test]
    fn malformed_verifiers_are_refused_without_being_shown() {
        let key = STANDARD.encode([1; 32]);
        for (text, says) in [
            ("md5abcdef".to_owned(), "form"),
            (format!("SCRAM-SHA-256$0:AAAA${key}:{key}"), "iterations"),
            (format!("SCRAM-SHA-256$100001:AAAA${key}:{key}"), "iterations"),
            (format!("SCRAM-SHA-256$-1:AAAA${key}:{key}"), "form"),
            (format!("SCRAM-SHA-256$4096:${key}:{key}"), "salt"),
            (format!("SCRAM-SHA-256$4096:!${key}:{key}"), "form"),
            (format!("SCRAM-SHA-256$4096:AAAA$AAAA:{key}"), "form"),
            (format!("SCRAM-SHA-256$4096:AAAA${key}"), "form"),
        ] {
            let error = text.parse::<Verifier>().expect_err(&text);
            assert!(error.contains(says), "{text}: {error}");
            assert!(!error.contains(&key));
        }
    }

    #[test]
    fn first_messages_are_checked_to_the_letter() {
        use ScramError::{Malformed, Unsupported};
        let begin = |message: &[u8]| {
            Exchange::begin(Verifier::unmatched(b"salt"), message, &[0; NONCE_BYTES]).map(|e| e.binding)
        };
        assert_eq!(begin(b"n,,n=,r=abc"), Ok("biws"));
        assert_eq!(begin(b"y,,n=any,r=abc,x=later"), Ok("eSws"));
        for message in ["p=tls-server-end-point,,n=,r=abc", "n,a=other,n=,r=abc", "n,,m=1,n=,r=abc"] {
            assert!(matches!(begin(message.as_bytes()), Err(Unsupported(_))), "{message}");
        }
        for message in ["", "n", "n,", "n,,", "x,,n=,r=abc", "n,,r=abc", "n,,n=", "n,,n=,r=", "n,,n=,r=a b"] {
            assert!(matches!(begin(message.as_bytes()), Err(Malformed(_))), "{message}");
        }
        assert!(matches!(begin(b"n,,n=\xff,r=abc"), Err(Malformed(_))));
    }

    #[test]
    fn last_messages_belong_to_their_exchange() {
        let proof = STANDARD.encode([0; 32]);
        let finish = |message: String| {
            Exchange::begin(Verifier::unmatched(b"salt"), b"n,,n=,r=abc", &[0; NONCE_BYTES])
                .unwrap()
                .finish(message.as_bytes())
        };
        let nonce = format!("abc{}", STANDARD.encode([0; NONCE_BYTES]));
        assert_eq!(finish(format!("c=biws,r={nonce},p={proof}")), Err(ScramError::Refused));
        for message in [
            String::new(),
            format!("c=biws,r={nonce}"),
            format!("c=eSws,r={nonce},p={proof}"),
            format!("c=biws,r=abc,p={proof}"),
            format!("c=biws,r={nonce}x,p={proof}"),
            format!("c=biws,r={nonce},p=AAAA"),
            format!("c=biws,r={nonce},p=*"),
        ] {
            assert!(matches!(finish(message.clone()), Err(ScramError::Malformed(_))), "{message}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_borne(first in prop::collection::vec(any::<u8>(), 0..200), last: Vec<u8>) {
            for first in [first.as_slice(), b"n,,n=,r=abc"] {
                if let Ok(exchange) = Exchange::begin(Verifier::unmatched(b"salt"), first, &[1; NONCE_BYTES]) {
                    prop_assert!(exchange.challenge().starts_with(b"r="));
                    prop_assert!(exchange.finish(&last).is_err());
                }
            }
        }

        #[test]
        fn one_changed_bit_of_a_proof_is_refused(bit in 0usize..256) {
            let mut client = ScramSha256::new(b"secret", ChannelBinding::unrequested());
            let verifier = Verifier::of("secret", b"salt", 1);
            let exchange = Exchange::begin(verifier, client.message(), &[3; NONCE_BYTES]).unwrap();
            client.update(exchange.challenge()).unwrap();
            let message = std::str::from_utf8(client.message()).unwrap();
            let (unproven, proof) = message.rsplit_once(",p=").unwrap();
            let mut proof = STANDARD.decode(proof).unwrap();
            proof[bit / 8] ^= 1 << (bit % 8);
            let message = format!("{unproven},p={}", STANDARD.encode(proof));
            prop_assert_eq!(exchange.finish(message.as_bytes()), Err(ScramError::Refused));
        }
    }
}
