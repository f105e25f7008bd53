//! `docs/reference/compatibility.md` has a row for every question, and the table of differences as
//! the replay reads it. `STEPFLOW_BLESS=1` writes that part anew.

use std::{collections::BTreeSet, fs};

use crate::{repository, table};

const BEGIN: &str = "<!-- differences: written by the test `compat` -->\n";
const END: &str = "<!-- end of differences -->";

#[test]
fn the_document_says_what_the_table_says() {
    let path = repository().join("docs/reference/compatibility.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let wanted = format!("{before}{BEGIN}{}{END}{after}", rendered(&table::read()));
    if std::env::var_os("STEPFLOW_BLESS").is_some() {
        fs::write(&path, wanted).unwrap();
        return;
    }
    assert_eq!(text, wanted, "STEPFLOW_BLESS=1 writes it anew");
}

#[test]
fn every_question_has_its_row_and_every_citation_exists() {
    let text = fs::read_to_string(repository().join("docs/reference/compatibility.md")).unwrap();
    let rows: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(' ').next())
        .filter(|word| word.starts_with(['Q', 'D']) && word[1..].parse::<u32>().is_ok())
        .collect();
    for number in 1..=52 {
        let question = format!("Q{number}");
        assert!(rows.contains(question.as_str()), "{question} has no row");
        let row = text.lines().find(|line| line.starts_with(&format!("| {question} |"))).unwrap();
        let verdict = row.split('|').nth(2).unwrap().trim();
        let words = verdict.split(", ");
        assert!(
            words.clone().all(|word| ["keep", "fix", "extend"].contains(&word)),
            "{question}: {verdict}"
        );
    }
    let table = table::read();
    let cited = table.difference.iter().flat_map(|line| &line.cite);
    for cite in cited.chain(table.request.iter().map(|request| &request.cite)) {
        assert!(rows.contains(cite.as_str()), "{cite} is cited and has no row");
    }
}

fn rendered(table: &table::Table) -> String {
    let code = |list: &[String]| {
        let quoted: Vec<String> = list.iter().map(|one| format!("`{one}`")).collect();
        quoted.join(", ").replace('|', "\\|")
    };
    let mut text =
        String::from("| replay | where | what | because | why |\n|---|---|---|---|---|\n");
    for line in &table.difference {
        let what = match line.path.as_slice() {
            [path] if path.is_empty() => line.kind.clone(),
            paths => format!("{} {}", line.kind, code(paths)),
        };
        text.push_str(&format!(
            "| {} | {} | {what} | {} | {} |\n",
            line.replay,
            code(&line.label),
            line.cite.join(", "),
            line.why.trim().replace('\n', " ").replace('|', "\\|"),
        ));
    }
    text.push('\n');
    for request in &table.request {
        text.push_str(&format!(
            "- `{}` is sent without {} ({}): {}\n",
            request.label,
            code(&request.without),
            request.cite,
            request.why
        ));
    }
    text
}
