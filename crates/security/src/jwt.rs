//! JWTs that Sentry issues beside a certificate. Their signature is for whoever
//! they are shown to; here only audience and expiry matter.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::Deserialize;

/// A token and the moment it ends.
#[derive(Clone)]
pub struct Jwt {
    token: String,
    expires: Timestamp,
}

/// Why a token is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the JWT is malformed")]
    Malformed,
    #[error("the JWT has no audience, or not the one that was asked for")]
    Audience,
}

#[derive(Deserialize)]
struct Claims {
    exp: f64,
    #[serde(default)]
    aud: Audience,
}

#[derive(Default, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
    #[default]
    None,
}

impl Jwt {
    /// A token for whatever audiences it has, at least one.
    pub fn parse(token: String) -> Result<Self, Error> {
        Self::new(token, |audiences| !audiences.is_empty())
    }

    /// A token for this audience and no other.
    pub fn for_audience(token: String, audience: &str) -> Result<Self, Error> {
        Self::new(token, |audiences| audiences == [audience])
    }

    fn new(token: String, fits: impl Fn(&[String]) -> bool) -> Result<Self, Error> {
        let mut parts = token.split('.');
        let (Some(_), Some(claims), Some(_), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Error::Malformed);
        };
        let claims = URL_SAFE_NO_PAD.decode(claims);
        let claims = claims.map_err(|_| Error::Malformed)?;
        let claims: Claims = serde_json::from_slice(&claims).map_err(|_| Error::Malformed)?;
        let audiences = match claims.aud {
            Audience::One(one) => vec![one],
            Audience::Many(many) => many,
            Audience::None => Vec::new(),
        };
        if !fits(&audiences) {
            return Err(Error::Audience);
        }
        // A float that fits no integer saturates, and no timestamp is that large.
        let expires = Timestamp::from_second(claims.exp as i64).map_err(|_| Error::Malformed)?;
        Ok(Self { token, expires })
    }

    /// The token itself: a secret.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The moment from which nobody accepts it.
    pub fn expires(&self) -> Timestamp {
        self.expires
    }
}

impl fmt::Debug for Jwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwt")
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn audience_and_expiry_are_read() {
        let check = |claims: &str, any: Option<Error>, one: Option<Error>| {
            assert_eq!(Jwt::parse(token(claims)).err(), any, "{claims}");
            assert_eq!(Jwt::for_audience(token(claims), "a").err(), one, "{claims}");
        };
        let audience = Some(Error::Audience);
        check(r#"{"exp":1,"aud":["a"]}"#, None, None);
        check(r#"{"exp":1,"aud":"a"}"#, None, None);
        check(r#"{"exp":1,"aud":["a","b"]}"#, None, audience);
        check(r#"{"exp":1,"aud":[]}"#, audience, audience);
        check(r#"{"exp":1}"#, audience, audience);
        let malformed = Some(Error::Malformed);
        check(r#"{"aud":["a"]}"#, malformed, malformed);
        check(r#"{"exp":1e300,"aud":["a"]}"#, malformed, malformed);
        check("nonsense", malformed, malformed);

        let jwt = Jwt::parse(token(r#"{"exp":1700000000,"aud":["a"]}"#)).unwrap();
        assert_eq!(jwt.expires().as_second(), 1_700_000_000);
        assert!(!format!("{jwt:?}").contains(jwt.token()));
        for text in ["", "a.b", "a.!.c", "a.b.c.d"] {
            assert_eq!(Jwt::parse(text.to_owned()).err(), malformed, "{text}");
        }
    }
}
