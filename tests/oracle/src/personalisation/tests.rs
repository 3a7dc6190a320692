//! Each rule and each of its boundaries, with outputs worked out by hand.

use super::*;

const HOUR_MS: u64 = 3_600_000;
const HALF_HOUR_MS: u64 = 1_800_000;

fn view(user_id: u64, event_time_ms: u64, product_id: u64, category: &str) -> View {
    View { user_id, event_time_ms, product_id, category: category.to_owned() }
}

fn purchase(
    user_id: u64,
    event_time_ms: u64,
    product_id: u64,
    category: &str,
    amount_cents: u64,
) -> Purchase {
    Purchase { user_id, event_time_ms, product_id, category: category.to_owned(), amount_cents }
}

/// The output for rows of which each is in a file of its own, so that none is late.
fn output(views: Vec<View>, purchases: Vec<Purchase>) -> PersonalisationOutput {
    let output = personalise(
        views.into_iter().map(|row| vec![row]).collect(),
        purchases.into_iter().map(|row| vec![row]).collect(),
    )
    .unwrap();
    assert_eq!((output.late_views, output.late_purchases), (0, 0));
    output
}

#[test]
fn a_session_takes_views_and_purchases_up_to_exactly_30_minutes_apart() {
    let views = vec![view(1, 1_000, 1, "a"), view(1, 1_000 + 2 * HALF_HOUR_MS, 2, "b")];
    let purchases = vec![
        purchase(1, 1_000 + HALF_HOUR_MS, 3, "b", 250),
        purchase(1, 1_000 + 3 * HALF_HOUR_MS + 1, 3, "c", 100),
        purchase(2, 1_001 + HALF_HOUR_MS, 3, "c", 70),
    ];
    assert_eq!(
        output(views, purchases).sessions,
        [
            r#"{"user_id":1,"session_start_ms":1000,"session_end_ms":5401000,"views":2,"purchases":1,"spent_cents":250,"top_categories":["b","a"]}"#,
            r#"{"user_id":1,"session_start_ms":5401001,"session_end_ms":7201001,"views":0,"purchases":1,"spent_cents":100,"top_categories":["c"]}"#,
            r#"{"user_id":2,"session_start_ms":1801001,"session_end_ms":3601001,"views":0,"purchases":1,"spent_cents":70,"top_categories":["c"]}"#,
        ]
    );
}

#[test]
fn an_event_that_arrives_later_joins_two_sessions() {
    let at = |time| view(1, time, 1, "a");
    let apart = output(vec![at(0), at(3_000_000)], vec![]).sessions;
    assert_eq!(apart.len(), 2);
    let joined = output(vec![at(0), at(3_000_000), at(1_500_000)], vec![]).sessions;
    assert_eq!(
        joined,
        [
            r#"{"user_id":1,"session_start_ms":0,"session_end_ms":4800000,"views":3,"purchases":0,"spent_cents":0,"top_categories":["a"]}"#
        ]
    );
}

#[test]
fn the_top_categories_are_the_best_three_with_ties_by_the_bytes_of_the_name() {
    // Scores: z 6 (a purchase and a view), é 5, a 2, B 2, b 2. 'B' < 'a' < 'b' < 'z' < 'é'.
    let categories = ["z", "a", "a", "B", "B", "b", "b"];
    let views = categories.iter().map(|category| view(1, 0, 1, category)).collect();
    let purchases = vec![purchase(1, 0, 1, "z", 1), purchase(1, 0, 1, "é", 2)];
    let sessions = output(views, purchases).sessions;
    assert_eq!(
        sessions,
        [
            r#"{"user_id":1,"session_start_ms":0,"session_end_ms":1800000,"views":7,"purchases":2,"spent_cents":3,"top_categories":["z","é","B"]}"#
        ]
    );
}

fn recommendation(user: u64, time: u64, category: &str, products: &str) -> String {
    format!(
        r#"{{"user_id":{user},"event_time_ms":{time},"category":"{category}","products":[{products}]}}"#
    )
}

#[test]
fn products_are_the_most_viewed_by_all_users_in_the_hour_window_before() {
    let mut views = vec![
        // Two hours before, and in the same hour: neither counts.
        view(9, HOUR_MS - 1, 77, "a"),
        view(9, 2 * HOUR_MS, 88, "a"),
        // The hour before: 5 three times; 30 and 4 twice; 3 once; 6 four times elsewhere.
        view(9, HOUR_MS, 5, "a"),
        view(8, 2 * HOUR_MS - 1, 5, "a"),
        view(7, HOUR_MS + 10, 5, "a"),
        view(9, HOUR_MS + 20, 30, "a"),
        view(8, HOUR_MS + 20, 30, "a"),
        view(9, HOUR_MS + 30, 4, "a"),
        view(8, HOUR_MS + 30, 4, "a"),
        view(9, HOUR_MS + 40, 3, "a"),
    ];
    views.extend(vec![view(6, HOUR_MS, 6, "b"); 4]);
    // User 1 views the first ms of the window, user 2 its last one.
    views.push(view(1, 2 * HOUR_MS, 1, "a"));
    views.push(view(2, 3 * HOUR_MS - 1, 1, "a"));
    let lines = output(views, vec![purchase(5, HOUR_MS, 1_000, "a", 1)]).recommendations;
    let of = |user: u64| {
        let prefix = format!("{{\"user_id\":{user},");
        lines.iter().filter(|line| line.starts_with(&prefix)).cloned().collect::<Vec<_>>()
    };
    assert_eq!(of(1), [recommendation(1, 2 * HOUR_MS, "a", "5,4,30")]);
    assert_eq!(of(2), [recommendation(2, 3 * HOUR_MS - 1, "a", "5,4,30")]);
    // Users 6 and 5 have no view in a window after one with views.
    assert_eq!((of(6), of(5)), (vec![], vec![]));
    // User 9's own earlier view gives lines in the hour after it, and one an hour later.
    assert_eq!(of(9).len(), 5);
    assert!(of(9).contains(&recommendation(9, HOUR_MS, "a", "77")));
    assert!(of(9).contains(&recommendation(9, 2 * HOUR_MS, "a", "5,4,30")));
}

#[test]
fn no_line_when_nobody_viewed_the_category_in_the_hour_before() {
    let views = vec![view(1, 0, 1, "a"), view(1, 2 * HOUR_MS, 1, "a"), view(2, HOUR_MS, 1, "b")];
    assert_eq!(output(views, vec![]).recommendations, [""; 0]);
}

/// Views of both categories by user 9 in the hour before, so that any view may give a line.
fn with_background(mut views: Vec<View>) -> Vec<View> {
    views.extend([view(9, 0, 10, "a"), view(9, 0, 20, "b"), view(9, 0, 30, "c")]);
    views
}

#[test]
fn only_a_view_of_the_best_category_gives_a_line_and_the_view_itself_counts() {
    let t = HOUR_MS;
    let views = with_background(vec![
        view(1, t, 1, "b"),     // b 1: best
        view(1, t + 1, 1, "a"), // a 1, b 1: a by name
        view(1, t + 2, 1, "c"), // c 1: a is best
        view(1, t + 3, 1, "b"), // b 2: best
        view(1, t + 5, 1, "a"), // after the purchase of c: c 6, a 2
        view(1, t + 6, 1, "c"), // c 7
    ]);
    let lines = output(views, vec![purchase(1, t + 4, 1, "c", 9)]).recommendations;
    let expected = [(t, "b", "20"), (t + 1, "a", "10"), (t + 3, "b", "20"), (t + 6, "c", "30")]
        .map(|(time, category, products)| recommendation(1, time, category, products));
    assert_eq!(lines, expected);
}

#[test]
fn the_best_category_counts_from_the_beginning_and_not_only_the_session() {
    let t = 10 * HOUR_MS;
    let views = vec![view(1, t, 1, "a"), view(1, t, 1, "b"), view(9, t - 1, 10, "a")];
    let purchases = vec![purchase(1, 0, 1, "b", 9)];
    // "a" is the best of the session but "b" has 5 from ten hours before; "b" has no products.
    assert_eq!(output(views.clone(), purchases).recommendations, [""; 0]);
    assert_eq!(output(views, vec![]).recommendations, [recommendation(1, t, "a", "10")]);
}

#[test]
fn at_the_same_time_purchases_come_first_then_product_id_then_category() {
    let t = HOUR_MS;
    // The purchase of "b" at the same time is already counted when "a" is viewed.
    let lines = output(with_background(vec![view(1, t, 1, "a")]), vec![purchase(1, t, 9, "b", 1)]);
    assert_eq!(lines.recommendations, [""; 0]);
    // Product 2 of "b" comes before product 10 of "a": both are best when they come.
    let both = [recommendation(1, t, "a", "10"), recommendation(1, t, "b", "20")];
    let views = with_background(vec![view(1, t, 10, "a"), view(1, t, 2, "b")]);
    assert_eq!(output(views, vec![]).recommendations, both);
    // The other way round "b" only draws level, and "a" is first by name.
    let views = with_background(vec![view(1, t, 10, "b"), view(1, t, 2, "a")]);
    assert_eq!(output(views, vec![]).recommendations, both[..1]);
    // One product in two categories: by category.
    let views = with_background(vec![view(1, t, 2, "b"), view(1, t, 2, "a")]);
    assert_eq!(output(views, vec![]).recommendations, both[..1]);
}

#[test]
fn identical_views_give_a_line_each() {
    let views = with_background(vec![view(1, HOUR_MS, 1, "a"); 2]);
    let line = recommendation(1, HOUR_MS, "a", "10");
    assert_eq!(output(views, vec![]).recommendations, [line.clone(), line]);
}

#[test]
fn late_rows_are_counted_and_no_rule_sees_them() {
    let views = vec![view(1, 50_000, 1, "a"), view(2, 39_999, 1, "a"), view(3, 40_000, 1, "a")];
    // The purchases have their own highest time; the second file has its own too.
    let purchases = vec![
        vec![purchase(4, 20_000, 1, "a", 1), purchase(5, 9_999, 1, "a", 1)],
        vec![purchase(6, 0, 1, "a", 1)],
    ];
    let output = personalise(vec![views], purchases).unwrap();
    assert_eq!((output.late_views, output.late_purchases), (1, 1));
    assert_eq!((output.views, output.purchases), (3, 3));
    let users: Vec<&str> = output.sessions.iter().map(|line| &line[..12]).collect();
    assert_eq!(users, [1, 3, 4, 6].map(|user| format!("{{\"user_id\":{user}")));
}

#[test]
fn names_are_escaped_as_json() {
    let lines = output(vec![view(1, 0, 1, "\"Möbel\", \\ 家")], vec![]).sessions;
    assert!(lines[0].ends_with(r#""top_categories":["\"Möbel\", \\ 家"]}"#), "{}", lines[0]);
}
