//! The sentences of findings: text with a few placeholders, checked when read.

use super::finding::Element;

/// A sentence with its placeholders.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Sentence(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Value,
    Element,
    Threshold,
    GiftThreshold,
    MemberState,
}

impl Sentence {
    /// Reads a sentence; the error is what must hold of it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            let (name, after) = after.split_once('}').ok_or("an opening brace is not closed")?;
            pieces.push(match name {
                "value" => Piece::Value,
                "element" => Piece::Element,
                "threshold" => Piece::Threshold,
                "gift_threshold" => Piece::GiftThreshold,
                "member_state" => Piece::MemberState,
                _ => {
                    return Err(format!(
                        "the placeholder {{{name}}} is none of {{value}}, {{element}}, \
                         {{threshold}}, {{gift_threshold}}, {{member_state}}"
                    ));
                }
            });
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Self(pieces))
    }

    /// The sentence with what a rule set fixes filled in.
    pub(super) fn settled(&self, threshold: &str, gift_threshold: &str, state: &str) -> Self {
        Self(
            self.0
                .iter()
                .map(|piece| match piece {
                    Piece::Threshold => Piece::Text(threshold.to_owned()),
                    Piece::GiftThreshold => Piece::Text(gift_threshold.to_owned()),
                    Piece::MemberState => Piece::Text(state.to_owned()),
                    piece => piece.clone(),
                })
                .collect(),
        )
    }

    /// Whether it repeats the offending value.
    pub(super) fn quotes_value(&self) -> bool {
        self.0.contains(&Piece::Value)
    }

    /// Appends the sentence to `out`.
    pub(super) fn write(&self, element: Element, value: &str, out: &mut String) {
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Value => out.push_str(value),
                Piece::Element => out.push_str(element.name()),
                Piece::Threshold | Piece::GiftThreshold | Piece::MemberState => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn placeholders_are_filled_in() {
        let sentence = Sentence::parse("The {element} is {value}, above EUR {threshold}.").unwrap();
        let mut out = String::new();
        sentence.settled("150.00", "45.00", "NL").write(Element::IntrinsicValue, "{160}", &mut out);
        assert_eq!(out, "The intrinsic value is {160}, above EUR 150.00.");
    }

    #[test]
    fn an_unknown_placeholder_is_refused() {
        assert!(Sentence::parse("The {valu} is wrong").unwrap_err().contains("{valu}"));
        assert!(Sentence::parse("The {value is wrong").is_err());
    }
}
