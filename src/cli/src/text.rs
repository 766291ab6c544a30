//! Text for a terminal: a title, and what is to be said under it.

/// The width that fits a terminal at its narrowest.
const WIDTH: usize = 80;

/// Adds each item as a paragraph, the first one beside the title.
pub fn section(out: &mut String, title: &str, items: &[String]) {
    for (index, item) in items.iter().enumerate() {
        let title = if index == 0 { title } else { "" };
        let mut line = format!("{title:<11}");
        let mut fresh = true;
        for word in item.split(' ') {
            if !fresh && line.chars().count() + 1 + word.chars().count() > WIDTH {
                out.push_str(line.trim_end());
                out.push('\n');
                line = " ".repeat(13);
                fresh = true;
            }
            if !fresh {
                line.push(' ');
            }
            line.push_str(word);
            fresh = false;
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
}
