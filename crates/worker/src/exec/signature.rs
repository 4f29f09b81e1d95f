//! The signature by which an endpoint knows that a call is ours, and of which moment: `t=SECONDS,v1=HEX`, where HEX is the
//! HMAC-SHA256 of `SECONDS.BODY` under the shared secret.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// A shared secret. It has no way out but [`Secret::sign`].
pub(super) struct Secret(Hmac<Sha256>);

impl Secret {
    /// `None` when it is empty.
    pub(super) fn new(key: &[u8]) -> Option<Self> {
        // HMAC takes keys of any length.
        (!key.is_empty()).then(|| Hmac::new_from_slice(key).ok().map(Self)).flatten()
    }

    /// The header's value.
    pub(super) fn sign(&self, seconds: u64, body: &[u8]) -> String {
        let mut mac = self.0.clone();
        mac.update(format!("{seconds}.").as_bytes());
        mac.update(body);
        let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("t={seconds},v1={hex}")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_what_openssl_computes() {
        // printf '1700000000.{"id":1}' | openssl dgst -sha256 -hmac whsec
        let signed = Secret::new(b"whsec").unwrap().sign(1_700_000_000, br#"{"id":1}"#);
        assert_eq!(signed, "t=1700000000,v1=e79220cb981f992adbc8b93ac6d46028b0217ea19327d27dc9d18bf334403bde");
        assert!(Secret::new(b"").is_none());
    }
}
