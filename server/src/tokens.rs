//! What the server hands out and recognises without remembering it: access tokens, challenges, logins under way.
//!
//! Each carries its time and is authenticated by a key that follows from the token key. One that comes from the future, as
//! after a clock was set back, is as void as one that is too old.

use alcove_crypto::ids::{AccountId, DeviceId};
use alcove_protocol::limits::{ACCESS_TOKEN_LIFETIME_S, CHALLENGE_LIFETIME_S, LOGIN_LIFETIME_S};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};
use subtle::ConstantTimeEq as _;

use crate::secrets::Secrets;
use crate::store::{LoginId, NameHash};

/// How far two nodes' clocks may be apart.
const SKEW_S: u64 = 120;

const DEVICE: u8 = 1;
const PASSWORD: u8 = 2;

/// kind, account, device, two generations, time.
const TOKEN_LEN: usize = 1 + 16 + 16 + 8 + 8 + 8;
const MAC_LEN: usize = 32;

/// Random bytes, time in seconds, MAC.
const NONCE_RANDOM_LEN: usize = 12;
const NONCE_MAC_LEN: usize = 16;

/// Whom a token speaks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Token {
    /// The account.
    pub account: AccountId,
    /// Generation of the account's sessions.
    pub account_sessions: u64,
    /// A device, or somebody with the password.
    pub bearer: Bearer,
}

/// Who bears a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bearer {
    /// A device, with the generation of its sessions.
    Device {
        /// The device.
        device: DeviceId,
        /// Generation of its sessions.
        sessions: u64,
    },
    /// Somebody who logged in with a password or recovery code.
    Password {
        /// Version of the credentials that did it.
        credentials: u64,
    },
}

/// A login between its two requests.
#[derive(PartialEq, Eq)]
pub struct PendingLogin {
    /// The name.
    pub name: NameHash,
    /// Names it in the database, where it is ended.
    pub login: LoginId,
    /// The account and the version of its credentials; none if the name is unknown.
    pub account: Option<(AccountId, u64)>,
    /// OPAQUE's state.
    pub state: Vec<u8>,
}

/// Makes and recognises them.
pub struct Tokens {
    access: hmac::Key,
    challenges: hmac::Key,
    logins: LessSafeKey,
    random: SystemRandom,
}

/// The system gives no randomness, or a key was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no randomness")]
pub struct NoRandomness;

impl Tokens {
    /// With the keys that follow from the secrets.
    ///
    /// # Errors
    /// Never, for keys of the right length.
    pub fn new(secrets: &Secrets) -> Result<Self, NoRandomness> {
        let key = |purpose: &str| secrets.token_key(purpose);
        let logins = UnboundKey::new(&CHACHA20_POLY1305, &key("logins")).map_err(|_| NoRandomness)?;
        Ok(Self {
            access: hmac::Key::new(hmac::HMAC_SHA256, &key("tokens")),
            challenges: hmac::Key::new(hmac::HMAC_SHA256, &key("challenges")),
            logins: LessSafeKey::new(logins),
            random: SystemRandom::new(),
        })
    }

    /// Random bytes.
    ///
    /// # Errors
    /// When the system has none.
    pub fn random<const N: usize>(&self) -> Result<[u8; N], NoRandomness> {
        let mut bytes = [0; N];
        self.random.fill(&mut bytes).map_err(|_| NoRandomness)?;
        Ok(bytes)
    }

    /// The text of a token.
    #[must_use]
    pub fn issue(&self, token: &Token, now_s: u64) -> String {
        let (kind, device, generation) = match token.bearer {
            Bearer::Device { device, sessions } => (DEVICE, *device.as_bytes(), sessions),
            Bearer::Password { credentials } => (PASSWORD, [0; 16], credentials),
        };
        let mut bytes = Vec::with_capacity(TOKEN_LEN + MAC_LEN);
        bytes.push(kind);
        bytes.extend(token.account.as_bytes());
        bytes.extend(device);
        for number in [token.account_sessions, generation, now_s] {
            bytes.extend(number.to_be_bytes());
        }
        let mac = hmac::sign(&self.access, &bytes);
        bytes.extend(mac.as_ref());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Whom a token speaks for, if it is one of ours and of now.
    #[must_use]
    pub fn recognise(&self, text: &str, now_s: u64) -> Option<Token> {
        let bytes: [u8; TOKEN_LEN + MAC_LEN] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let (content, mac) = bytes.split_at(TOKEN_LEN);
        hmac::verify(&self.access, content, mac).ok()?;
        let (&kind, rest) = content.split_first()?;
        let (account, rest) = rest.split_first_chunk::<16>()?;
        let (device, rest) = rest.split_first_chunk::<16>()?;
        let mut numbers = rest.as_chunks::<8>().0.iter().map(|bytes| u64::from_be_bytes(*bytes));
        let (account_sessions, generation, issued_s) = (numbers.next()?, numbers.next()?, numbers.next()?);
        if !is_current(issued_s, ACCESS_TOKEN_LIFETIME_S, now_s) {
            return None;
        }
        let bearer = match kind {
            DEVICE => Bearer::Device { device: DeviceId::new(*device), sessions: generation },
            PASSWORD => Bearer::Password { credentials: generation },
            _ => return None,
        };
        Some(Token { account: AccountId::new(*account), account_sessions, bearer })
    }

    /// A challenge.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn challenge(&self, now_s: u64) -> Result<[u8; 32], NoRandomness> {
        let random: [u8; NONCE_RANDOM_LEN] = self.random()?;
        // Counts on past 2106 by wrapping: only differences matter.
        let time = u32::try_from(now_s & u64::from(u32::MAX)).unwrap_or(0).to_be_bytes();
        let mac = self.challenge_mac(&random, time);
        let mut nonce = [0; 32];
        nonce[..NONCE_RANDOM_LEN].copy_from_slice(&random);
        nonce[NONCE_RANDOM_LEN..32 - NONCE_MAC_LEN].copy_from_slice(&time);
        nonce[32 - NONCE_MAC_LEN..].copy_from_slice(&mac);
        Ok(nonce)
    }

    /// Whether a challenge is one of ours and of now. That it is used once is for the database.
    #[must_use]
    pub fn is_challenge(&self, nonce: &[u8; 32], now_s: u64) -> bool {
        let (content, mac) = nonce.split_at(32 - NONCE_MAC_LEN);
        let (random, time) = content.split_at(NONCE_RANDOM_LEN);
        let (Ok(random), Ok(time)) = (random.try_into(), <[u8; 4]>::try_from(time)) else { return false };
        let wrapped = u32::try_from(now_s & u64::from(u32::MAX)).unwrap_or(0);
        let age_s = i64::from(wrapped.wrapping_sub(u32::from_be_bytes(time)).cast_signed());
        let skew_s = i64::try_from(SKEW_S).unwrap_or(0);
        bool::from(mac.ct_eq(&self.challenge_mac(random, time)))
            && (-skew_s..=i64::from(CHALLENGE_LIFETIME_S)).contains(&age_s)
    }

    fn challenge_mac(&self, random: &[u8; NONCE_RANDOM_LEN], time: [u8; 4]) -> [u8; NONCE_MAC_LEN] {
        let mac = hmac::sign(&self.challenges, &[&random[..], &time[..]].concat());
        let mut out = [0; NONCE_MAC_LEN];
        out.copy_from_slice(&mac.as_ref()[..NONCE_MAC_LEN]);
        out
    }

    /// A login as the client carries it to its second request. Sealed, since it tells what OPAQUE expects there.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn seal_login(&self, login: &PendingLogin, now_s: u64) -> Result<Vec<u8>, NoRandomness> {
        let nonce: [u8; NONCE_LEN] = self.random()?;
        let (known, account, credentials) = match login.account {
            Some((account, credentials)) => (1, *account.as_bytes(), credentials),
            None => (0, [0; 16], 0),
        };
        let mut content = Vec::new();
        content.extend(now_s.to_be_bytes());
        content.extend(login.name.0);
        content.extend(login.login);
        content.push(known);
        content.extend(account);
        content.extend(credentials.to_be_bytes());
        content.extend(&login.state);
        let sealed = self.logins.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::empty(),
            &mut content,
        );
        sealed.map_err(|_| NoRandomness)?;
        Ok([&nonce[..], &content].concat())
    }

    /// The login, if it is one of ours and of now.
    #[must_use]
    pub fn open_login(&self, sealed: &[u8], now_s: u64) -> Option<PendingLogin> {
        let (nonce, content) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut content = content.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let content = self.logins.open_in_place(nonce, Aad::empty(), &mut content).ok()?;
        let (issued, rest) = content.split_first_chunk::<8>()?;
        let (name, rest) = rest.split_first_chunk::<32>()?;
        let (login, rest) = rest.split_first_chunk::<16>()?;
        let (known, rest) = rest.split_first()?;
        let (account, rest) = rest.split_first_chunk::<16>()?;
        let (credentials, state) = rest.split_first_chunk::<8>()?;
        let account = (*known == 1).then(|| (AccountId::new(*account), u64::from_be_bytes(*credentials)));
        is_current(u64::from_be_bytes(*issued), LOGIN_LIFETIME_S, now_s).then(|| PendingLogin {
            name: NameHash(*name),
            login: *login,
            account,
            state: state.to_vec(),
        })
    }
}

fn is_current(issued_s: u64, lifetime_s: u32, now_s: u64) -> bool {
    issued_s <= now_s + SKEW_S && now_s < issued_s + u64::from(lifetime_s)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_790_000_000;

    fn tokens() -> Tokens {
        Tokens::new(&Secrets::make().unwrap()).unwrap()
    }

    fn token(bearer: Bearer) -> Token {
        Token { account: AccountId::new([1; 16]), account_sessions: 3, bearer }
    }

    #[test]
    fn a_token_is_good_for_its_time_and_nobody_else() {
        let (ours, theirs) = (tokens(), tokens());
        for bearer in [
            Bearer::Device { device: DeviceId::new([2; 16]), sessions: 9 },
            Bearer::Password { credentials: 4 },
        ] {
            let token = token(bearer);
            let text = ours.issue(&token, NOW);
            let last = NOW + u64::from(ACCESS_TOKEN_LIFETIME_S) - 1;
            for (now, good) in [
                (NOW, true),
                (last, true),
                (last + 1, false),
                (NOW - SKEW_S, true),
                (NOW - SKEW_S - 1, false),
            ] {
                assert_eq!(ours.recognise(&text, now), good.then_some(token), "{now}");
            }
            assert_eq!(theirs.recognise(&text, NOW), None);
            for i in 0..text.len() {
                let other = if text.as_bytes()[i] == b'A' { "B" } else { "A" };
                let mut altered = text.clone();
                altered.replace_range(i..=i, other);
                assert_eq!(ours.recognise(&altered, NOW), None, "character {i}");
            }
        }
        for garbage in ["", "x", "AAAA", &"A".repeat(119), &"é".repeat(60)] {
            assert_eq!(ours.recognise(garbage, NOW), None);
        }
    }

    #[test]
    fn a_challenge_is_good_for_its_time_also_when_the_counter_wraps() {
        let ours = tokens();
        for now in [NOW, u64::from(u32::MAX), u64::from(u32::MAX) + 5] {
            let nonce = ours.challenge(now).unwrap();
            let last = now + u64::from(CHALLENGE_LIFETIME_S);
            assert!(ours.is_challenge(&nonce, now) && ours.is_challenge(&nonce, last));
            assert!(!ours.is_challenge(&nonce, last + 1) && !ours.is_challenge(&nonce, now - SKEW_S - 1));
            for i in 0..32 {
                let mut altered = nonce;
                altered[i] ^= 1;
                assert!(!ours.is_challenge(&altered, now));
            }
        }
        assert!(!tokens().is_challenge(&ours.challenge(NOW).unwrap(), NOW));
    }

    #[test]
    fn a_login_is_carried_unread_and_unaltered() {
        let ours = tokens();
        for account in [None, Some((AccountId::new([5; 16]), 7))] {
            let login =
                PendingLogin { name: NameHash([3; 32]), login: [4; 16], account, state: vec![6; 129] };
            let sealed = ours.seal_login(&login, NOW).unwrap();
            assert!(ours.open_login(&sealed, NOW).is_some_and(|opened| opened == login));
            assert!(ours.open_login(&sealed, NOW + u64::from(LOGIN_LIFETIME_S)).is_none());
            for i in 0..sealed.len() {
                let mut altered = sealed.clone();
                altered[i] ^= 1;
                assert!(
                    ours.open_login(&altered, NOW).is_none() && ours.open_login(&sealed[..i], NOW).is_none()
                );
            }
        }
    }
}
