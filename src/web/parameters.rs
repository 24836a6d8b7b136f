//! The parameters behind the question mark of a path.

use percent_encoding::percent_decode_str;

/// Parameters of a request at most: no path has as many.
const PARAMETERS_MAX: usize = 64;

/// Names with their values, in order.
#[derive(Debug, Default)]
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// # Errors
    /// What is wrong with it, in a sentence.
    pub(super) fn read(query: Option<&str>) -> Result<Self, String> {
        let mut read = Vec::new();
        let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        for pair in pairs {
            if read.len() == PARAMETERS_MAX {
                return Err(format!("more than {PARAMETERS_MAX} parameters"));
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            read.push((decode(name)?, decode(value)?));
        }
        Ok(Self(read))
    }

    /// The value of `name`; empty without one.
    pub(super) fn one(&self, name: &str) -> &str {
        self.0.iter().find(|(of, _)| of == name).map_or("", |(_, value)| value)
    }

    /// All values of `name`.
    pub(super) fn all(&self, name: &str) -> Vec<String> {
        let of = self.0.iter().filter(|(of, _)| of == name);
        of.map(|(_, value)| value.clone()).collect()
    }

    /// The value of `name` as a number; 0 without one.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence.
    pub(super) fn number<T: std::str::FromStr + Default>(&self, name: &str) -> Result<T, String> {
        match self.one(name) {
            "" => Ok(T::default()),
            text => {
                text.parse().map_err(|_| format!("{name} is {text:?}, which is no such number"))
            }
        }
    }
}

fn decode(text: &str) -> Result<String, String> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    decoded.map(Into::into).map_err(|_| format!("{text:?} is no UTF-8"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn parameters_are_read_as_browsers_write_them() {
        let read = Parameters::read(Some("id=NL%201+2&name=a&name=b%26c&n=7&flag")).unwrap();
        assert_eq!(read.one("id"), "NL 1 2");
        assert_eq!(read.all("name"), ["a", "b&c"]);
        assert_eq!((read.number("n"), read.number::<u32>("none")), (Ok(7_u32), Ok(0)));
        assert_eq!((read.one("flag"), read.one("none")), ("", ""));
        assert!(read.number::<u32>("id").unwrap_err().contains("id is \"NL 1 2\""));
        assert!(Parameters::read(Some("a=%ff")).is_err());
        assert!(Parameters::read(Some(&"a&".repeat(PARAMETERS_MAX + 1))).is_err());
        assert!(Parameters::read(None).unwrap().all("a").is_empty());
    }
}
