//! Text that others wrote, made safe for a terminal.
//!
//! An id, a type, a header, a reason or a body is a sender's text, and an unsigned one is a stranger's. A terminal acts on control
//! characters; bidirectional ones reorder what stands beside them, and invisible ones make two ids look like one. Each is
//! written as `\u{…}` here, so that it is seen. In JSON it is written as JSON's own escape, which means the same.

use std::fmt::Write;

/// The characters that show nothing, or change how others are shown: Unicode 17's `Default_Ignorable_Code_Point`
/// (DerivedCoreProperties.txt), which has the bidirectional ones (UAX #9) and those without a width; the separators of lines and
/// paragraphs; and what marks annotations.
const UNSEEN: [(char, char); 20] = [
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{2028}', '\u{2029}'),
    ('\u{202a}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fff8}'),
    ('\u{fff9}', '\u{fffb}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e007f}'),
    ('\u{e0080}', '\u{e0fff}'),
];

/// Whether a character does more than show itself.
fn is_harmful(character: char) -> bool {
    character.is_control() || UNSEEN.iter().any(|(first, last)| (*first..=*last).contains(&character))
}

/// A text on one line: runs of white space are one space.
pub fn one_line(text: &str) -> String {
    // What parts lines only in Unicode's eyes is none of the white space that a writer means.
    let words: Vec<_> = text.split([' ', '\t', '\n', '\r']).filter(|word| !word.is_empty()).collect();
    escaped(&words.join(" "), |_| false)
}

/// A text of several lines, as it is but for what a terminal acts on. A lone carriage return is escaped: what follows it would
/// be written over what stands before.
pub fn lines(text: &str) -> String {
    let lines: Vec<_> = text.split("\r\n").map(|line| escaped(line, |one| matches!(one, '\n' | '\t'))).collect();
    lines.join("\r\n")
}

/// Whether a terminal shows a text as it is: [`lines`] changes nothing of it.
pub fn is_safe(text: &str) -> bool {
    lines(text) == text
}

fn escaped(text: &str, is_wanted: fn(char) -> bool) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        if is_harmful(character) && !is_wanted(character) {
            safe.extend(character.escape_unicode());
        } else {
            safe.push(character);
        }
    }
    safe
}

/// A document of JSON that means the same. Outside of its texts it has line breaks only that do harm, and these are meant.
pub fn json(document: &str) -> String {
    let mut safe = String::with_capacity(document.len());
    for character in document.chars() {
        if !is_harmful(character) || character == '\n' {
            safe.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            // A text takes whatever is written to it.
            let _ = write!(safe, "\\u{unit:04x}");
        }
    }
    safe
}

/// A text as bash, zsh and ksh take it for one word, to be pasted: the very same text.
pub fn shell_word(text: &str) -> String {
    let is_plain = |one: char| one.is_ascii_alphanumeric() || matches!(one, '-' | '_' | '.' | ':' | '/' | '@');
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    if !text.chars().any(is_harmful) {
        return format!("'{}'", text.replace('\'', r"'\''"));
    }
    let mut word = "$'".to_owned();
    for character in text.chars() {
        match character {
            '\'' | '\\' => word.extend(['\\', character]),
            _ if is_harmful(character) => {
                for byte in character.encode_utf8(&mut [0; 4]).bytes() {
                    let _ = write!(word, "\\{byte:03o}");
                }
            }
            _ => word.push(character),
        }
    }
    word + "'"
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of each kind: ESC, DEL, C1's CSI, a backspace, bidirectional ones, invisible ones, separators, a tag.
    const HARMFUL: &str = "\u{1b}\u{7f}\u{9b}\u{8}\u{202e}\u{2066}\u{200f}\u{61c}\u{200b}\u{200d}\u{2060}\u{feff}\u{ad}\u{2028}\
                           \u{2029}\u{3164}\u{fff9}\u{e0041}";

    #[test]
    fn what_a_terminal_acts_on_or_does_not_show_is_written_out() {
        let escapes = r"\u{1b}\u{7f}\u{9b}\u{8}\u{202e}\u{2066}\u{200f}\u{61c}\u{200b}\u{200d}\u{2060}\u{feff}\u{ad}\u{2028}\u{2029}\u{3164}\u{fff9}\u{e0041}";
        assert_eq!(one_line(HARMFUL), escapes);
        assert_eq!(lines(HARMFUL), escapes);
        assert!(HARMFUL.chars().all(|one| !is_safe(&one.to_string())));
    }

    #[test]
    fn what_people_write_stays_as_it_is() {
        let text = "Zoë paid 5 €: 東京　タワー, שלום, مرحبا, नमस्ते, 🎉\u{a0}";
        assert_eq!(one_line(text), text);
        assert!(is_safe(text));
    }

    #[test]
    fn one_line_is_one_line_however_its_writer_ends_lines() {
        assert_eq!(one_line("no\n  such\r\n\torder\u{1b}[31m"), r"no such order\u{1b}[31m");
        assert_eq!(one_line("o-1\u{85}o-2\u{b}o-3\u{2028}o-4"), r"o-1\u{85}o-2\u{b}o-3\u{2028}o-4");
    }

    #[test]
    fn lines_and_tabs_stay_and_what_would_be_written_over_others_does_not() {
        assert_eq!(lines("{\r\n\t\"a\": 1\n}"), "{\r\n\t\"a\": 1\n}");
        assert_eq!(lines("refused\rlanded \n"), "refused\\u{d}landed \n");
        assert!(!is_safe("refused\rlanded"));
    }

    #[test]
    fn json_means_the_same_and_has_nothing_that_a_terminal_acts_on() {
        let document = serde_json::json!({ "id": HARMFUL, "list": [1, "ü\n"] });
        for text in [document.to_string(), serde_json::to_string_pretty(&document).unwrap()] {
            let safe = json(&text);
            assert!(is_safe(&safe), "{safe}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&safe).unwrap(), document);
        }
        assert_eq!(json("{\"id\":\"o\u{202e}\u{e0041}\"}"), r#"{"id":"o\u202e\udb40\udc41"}"#);
    }

    #[test]
    fn an_id_is_one_word_of_a_shell() {
        let key = "72d3162e-cc78-11e3-81ab-4c9367dc0958:b80208";
        assert_eq!(shell_word(key), key);
        assert_eq!(shell_word("order 7; rm"), "'order 7; rm'");
        assert_eq!(shell_word("it's"), r"'it'\''s'");
        assert_eq!(shell_word("it's\\\u{1b}[2J\n\u{202e}7"), r"$'it\'s\\\033[2J\012\342\200\2567'");
    }

    #[test]
    fn bash_takes_the_word_for_the_very_same_text() {
        for id in ["order 7; rm", "it's", "it's\\\u{1b}[2J\n\u{202e}7", HARMFUL] {
            let script = format!("printf %s {}", shell_word(id));
            let output = std::process::Command::new("bash").args(["--norc", "-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), id);
        }
    }
}
