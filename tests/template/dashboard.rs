//! What is shown.

use serde_json::Value;

use crate::alarms::is_known;
use crate::expanded::Template;
use crate::rules;

/// What the dashboard shows.
fn widgets(template: &Template) -> Vec<Value> {
    let text = template.properties("Dashboard")["DashboardBody"]["Fn::Sub"][0].as_str().unwrap();
    let body: Value = serde_json::from_str(&plain(text)).unwrap();
    body["widgets"].as_array().unwrap().clone()
}

/// A text of `Fn::Sub`, each placeholder replaced by its own name.
fn plain(text: &str) -> String {
    let mut parts = text.split("${");
    let mut plain = parts.next().unwrap().to_owned();
    for part in parts {
        let (name, rest) = part.split_once('}').unwrap();
        plain += name;
        plain += rest;
    }
    plain
}

rules! {
    fn the_dashboard_has_a_row_for_each_part_and_its_widgets_do_not_overlap(template) {
        let widgets = widgets(template);
        let titles: Vec<_> = widgets
            .iter()
            .filter_map(|widget| widget["properties"]["markdown"].as_str())
            .collect();
        assert_eq!(
            titles,
            [
                "## Wharf, Stage: the alarms",
                "## The door",
                "## Verification, by endpoint",
                "## The queue",
                "## The consumer",
                "## The ledger and the housekeeper",
                "## The latest refusals",
            ]
        );
        let place = |widget: &Value| ["x", "y", "width", "height"].map(|name| widget[name].as_i64().unwrap());
        for (index, widget) in widgets.iter().enumerate() {
            let [x, y, width, height] = place(widget);
            assert!(x + width <= 24, "{widget}");
            for other in &widgets[..index] {
                let [left, top, its_width, its_height] = place(other);
                let is_beside = x >= left + its_width || left >= x + width || y >= top + its_height || top >= y + height;
                assert!(is_beside, "{widget} covers {other}");
            }
        }
    } broken by [Set("/Resources/Dashboard/Properties/DashboardBody/Fn::Sub/0", r#""{\"widgets\": []}""#)]

    fn every_metric_that_is_shown_is_one_that_is_there(template) {
        let mut shown = 0;
        for widget in widgets(template).iter().filter(|widget| widget["type"] == "metric") {
            assert_eq!(widget["properties"]["region"], "AWS::Region");
            for metric in widget["properties"]["metrics"].as_array().unwrap() {
                shown += 1;
                if let Some(expression) = metric[0]["expression"].as_str() {
                    // SEARCH('{Wharf,Stage,Endpoint} MetricName="Refused" Stage="Stage"', 'Sum', 300)
                    let (schema, rest) = expression.strip_prefix("SEARCH('{").unwrap().split_once("} MetricName=\"").unwrap();
                    let (name, rest) = rest.split_once('"').unwrap();
                    assert_eq!(rest, " Stage=\"Stage\"', 'Sum', 300)");
                    let schema: Vec<_> = schema.split(',').collect();
                    assert!(is_known(schema[0], name, &schema[1..]), "{expression}");
                    continue;
                }
                let parts: Vec<_> = metric.as_array().unwrap().iter().filter_map(Value::as_str).collect();
                let dimensions: Vec<_> = parts[2..].iter().step_by(2).copied().collect();
                assert!(is_known(parts[0], parts[1], &dimensions), "{metric}");
            }
        }
        assert!(shown > 30, "{shown}");
    } broken by [
        Set("/Resources/Dashboard/Properties/DashboardBody/Fn::Sub/0", r#""{\"widgets\": [{\"type\": \"metric\", \"properties\": {\"region\": \"${AWS::Region}\", \"metrics\": [[\"Wharf\", \"Refusals\", \"Stage\", \"${Stage}\"]]}}]}""#),
    ]

    fn every_alarm_is_shown_but_those_that_only_roll_back(template) {
        let join = template.properties("Dashboard")["DashboardBody"]["Fn::Sub"][1]["Alarms"].to_string();
        for (name, resource) in template.resources() {
            let is_alarm = ["AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm"].contains(&resource["Type"].as_str().unwrap());
            if is_alarm {
                assert_eq!(join.contains(&format!("[\"{name}\",\"Arn\"]")), !name.contains("RollOut"), "{name}");
            }
        }
        assert!(template.properties("Dashboard")["DashboardBody"]["Fn::Sub"][0].as_str().unwrap().contains(r#""alarms": ["${Alarms}"]"#));
    } broken by [Remove("/Resources/Dashboard/Properties/DashboardBody/Fn::Sub/1/Alarms/Fn::Join/1/3")]
}
