//! The subject of a certificate: attributes and their values. Written out one by one, and compared as
//! such: a distinguished name as one text can be read in several ways (RFC 4514 has seven characters to
//! escape, and tools print it in either order), and here that would be a way in.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

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
    /// Of a certificate as DER has it.
    ///
    /// # Errors
    /// See [`SubjectError`].
    pub fn of_certificate(der: &[u8]) -> Result<Self, SubjectError> {
        let (_, certificate) = X509Certificate::from_der(der)
            .map_err(|error| SubjectError::Malformed(error.to_string()))?;
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
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let subject = Subject::of_certificate(certificate.der()).unwrap();
        let told = r#"{ "1.2.3" = "x", CN = 'lotusbay, O = "other"', O = "Zoë & Co" }"#;
        assert_eq!(subject.to_string(), told);
        assert!(Subject::of_certificate(b"no certificate").is_err());
        params.distinguished_name = rcgen::DistinguishedName::new();
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        assert!(matches!(Subject::of_certificate(certificate.der()), Err(SubjectError::Empty)));
    }
}
