//! The subject of a certificate: attributes and their values. Written out one by one, and compared as
//! such: a distinguished name as one text can be read in several ways (RFC 4514 has seven characters to
//! escape, and tools print it in either order), and here that would be a way in.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Names that the clients file may use (RFC 4519, and what certificates of companies have); any other
/// attribute goes by its object identifier, as `1.2.3.4`.
const NAMES: [(&str, &str); 11] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "street"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.97", "organizationIdentifier"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
];

/// A subject: each attribute with its values, in any order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(BTreeMap<String, BTreeSet<String>>);

/// A certificate that a client showed, and the server's authorities vouch for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Whose it is.
    pub subject: Subject,
    /// The last second at which it counts.
    pub until: SystemTime,
}

impl Certificate {
    /// As DER has it.
    ///
    /// # Errors
    /// See [`SubjectError`].
    pub fn of(der: &[u8]) -> Result<Self, SubjectError> {
        let certificate = parsed(der)?;
        let seconds = certificate.validity().not_after.timestamp();
        let since = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        let until = SystemTime::UNIX_EPOCH.checked_add(since).unwrap_or(SystemTime::UNIX_EPOCH);
        Ok(Self { subject: Subject::of(&certificate)?, until })
    }
}

fn parsed(der: &[u8]) -> Result<X509Certificate<'_>, SubjectError> {
    let parsed = X509Certificate::from_der(der);
    let (_, certificate) = parsed.map_err(|error| SubjectError::Malformed(error.to_string()))?;
    Ok(certificate)
}

/// One value or several, as TOML has them.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Values {
    One(String),
    Several(BTreeSet<String>),
}

/// Why a certificate has no subject.
#[derive(Debug, thiserror::Error)]
pub enum SubjectError {
    /// It is no certificate.
    #[error("the certificate cannot be read: {0}")]
    Malformed(String),
    /// A value is no text.
    #[error("the value of {attribute} in the certificate's subject is no text")]
    NoText {
        /// Which one.
        attribute: String,
    },
    /// It names nobody.
    #[error("the certificate's subject is empty")]
    Empty,
}

impl Subject {
    fn of(certificate: &X509Certificate<'_>) -> Result<Self, SubjectError> {
        let mut attributes: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for attribute in certificate.subject().iter_attributes() {
            let name = name_of(&attribute.attr_type().to_id_string());
            let value =
                attribute.as_str().map_err(|_| SubjectError::NoText { attribute: name.clone() })?;
            attributes.entry(name).or_default().insert(value.to_owned());
        }
        if attributes.is_empty() { Err(SubjectError::Empty) } else { Ok(Self(attributes)) }
    }
}

fn name_of(identifier: &str) -> String {
    let known = NAMES.iter().find(|(number, _)| *number == identifier);
    known.map_or(identifier, |(_, name)| name).to_owned()
}

impl<'de> Deserialize<'de> for Subject {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let given = BTreeMap::<String, Values>::deserialize(deserializer)?;
        if given.is_empty() {
            return Err(D::Error::custom("a certificate's subject needs an attribute, as CN"));
        }
        let mut attributes = BTreeMap::new();
        for (name, values) in given {
            let is_identifier = name.contains('.')
                && name
                    .split('.')
                    .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
            if !is_identifier && !NAMES.iter().any(|(_, known)| *known == name) {
                let known: Vec<_> = NAMES.iter().map(|(_, known)| *known).collect();
                return Err(D::Error::custom(format!(
                    "{name:?} is no attribute of a subject: give one of {}, or an object identifier",
                    known.join(", ")
                )));
            }
            let values = match values {
                Values::One(value) => BTreeSet::from([value]),
                Values::Several(values) => values,
            };
            // An identifier that has a name is the same attribute.
            attributes.entry(name_of(&name)).or_insert_with(BTreeSet::new).extend(values);
        }
        Ok(Self(attributes))
    }
}

/// As the clients file would have it.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{ ")?;
        for (number, (name, values)) in self.0.iter().enumerate() {
            let comma = if number == 0 { "" } else { ", " };
            let quote = if name.contains('.') { "\"" } else { "" };
            write!(f, "{comma}{quote}{name}{quote} = ")?;
            let values: Vec<_> =
                values.iter().map(|value| toml::Value::from(value.as_str())).collect();
            match &values[..] {
                [value] => write!(f, "{value}")?,
                several => write!(f, "{}", toml::Value::Array(several.to_vec()))?,
            }
        }
        f.write_str(" }")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_subject_is_that_of_the_certificate_and_nothing_else_is() {
        use rcgen::{CertificateParams, DnType, KeyPair};
        let mut params = CertificateParams::new(vec!["elsewhere.example".into()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "lotusbay, O = \"other\"");
        params.distinguished_name.push(DnType::OrganizationName, "Zoë & Co");
        params.distinguished_name.push(DnType::CustomDnType(vec![1, 2, 3]), "x");
        params.not_after = rcgen::date_time_ymd(2030, 1, 2);
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let Certificate { subject, until } = Certificate::of(certificate.der()).unwrap();
        assert_eq!(until, SystemTime::UNIX_EPOCH + Duration::from_secs(1_893_542_400));
        let told = r#"{ "1.2.3" = "x", CN = 'lotusbay, O = "other"', O = "Zoë & Co" }"#;
        assert_eq!(subject.to_string(), told);
        assert!(Certificate::of(b"no certificate").is_err());
        params.distinguished_name = rcgen::DistinguishedName::new();
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        assert!(matches!(Certificate::of(certificate.der()), Err(SubjectError::Empty)));
    }
}
