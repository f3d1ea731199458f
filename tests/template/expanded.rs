//! The expanded template, and what rules ask of it.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use serde_json::{Value, json};
use wharf_ops::project::Project;
use wharf_ops::template;

use crate::Change;

/// What CloudFormation makes of the template.
pub struct Template(pub Value);

impl Template {
    /// With production's parameters.
    pub fn production() -> &'static Template {
        static EXPANDED: OnceLock<Template> = OnceLock::new();
        EXPANDED.get_or_init(|| {
            let project = Project::find().unwrap();
            Template(template::expand(&project, "production", &|step| println!("{step}")).unwrap())
        })
    }

    /// What lets GitHub deploy. SAM changes nothing of it.
    pub fn github() -> &'static Template {
        static READ: OnceLock<Template> = OnceLock::new();
        READ.get_or_init(|| {
            let project = Project::find().unwrap();
            let text = std::fs::read_to_string(project.path(template::GITHUB_PATH)).unwrap();
            let given = [("Repository", "owner/name"), ("Stage", "production")];
            let parameters = given.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
            Template(template::expand_text(&project, &text, &parameters, &|step| println!("{step}")).unwrap())
        })
    }

    /// The same, but for one change.
    pub fn changed(&self, change: &Change) -> Template {
        let mut value = self.0.clone();
        match change {
            Change::Set(place, text) => {
                let (parent, key) = place.rsplit_once('/').unwrap();
                let new = serde_json::from_str(text).unwrap();
                let parent = value.pointer_mut(parent).unwrap_or_else(|| panic!("nothing is at {parent}"));
                if let Some(list) = parent.as_array_mut() {
                    list[key.parse::<usize>().unwrap()] = new;
                } else {
                    parent[key] = new;
                }
            }
            Change::Remove(place) => {
                let (parent, key) = place.rsplit_once('/').unwrap();
                let parent = value.pointer_mut(parent).unwrap_or_else(|| panic!("nothing is at {parent}"));
                if let Some(list) = parent.as_array_mut() {
                    list.remove(key.parse().unwrap());
                } else {
                    assert!(parent.as_object_mut().unwrap().remove(key).is_some(), "nothing is at {place}");
                }
            }
        }
        assert_ne!(value, self.0, "it changes nothing");
        Template(value)
    }

    pub fn resources(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0["Resources"].as_object().unwrap().iter().map(|(name, resource)| (name.as_str(), resource))
    }

    pub fn resource(&self, name: &str) -> &Value {
        &self.0["Resources"][name]
    }

    pub fn properties(&self, name: &str) -> &Value {
        let properties = &self.resource(name)["Properties"];
        assert!(properties.is_object(), "there is no resource {name}");
        properties
    }

    pub fn of_type(&self, resource_type: &str) -> Vec<(&str, &Value)> {
        let found: Vec<_> = self
            .resources()
            .filter(|(_, resource)| resource["Type"] == resource_type)
            .map(|(name, resource)| (name, &resource["Properties"]))
            .collect();
        assert!(!found.is_empty(), "there is no {resource_type}");
        found
    }

    /// Whether a name is a resource's, a parameter's, or CloudFormation's own.
    pub fn knows(&self, name: &str) -> bool {
        name.starts_with("AWS::") || self.0["Resources"].get(name).is_some() || self.0["Parameters"].get(name).is_some()
    }

    /// The names that a part of the template refers to, conditions left out.
    pub fn references_of(&self, part: &Value) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        collect(part, &mut found);
        found
    }

    /// The parameters on which a part of the template depends, directly or by a condition.
    pub fn parameters_of(&self, part: &Value) -> BTreeSet<String> {
        let mut found = self.references_of(part);
        let mut conditions = Vec::new();
        conditions_of(part, &mut conditions);
        for condition in conditions {
            collect(&self.0["Conditions"][&condition], &mut found);
        }
        found.retain(|name| self.0["Parameters"].get(name).is_some());
        found
    }
}

fn collect(part: &Value, found: &mut BTreeSet<String>) {
    match part {
        Value::Object(object) => {
            for (key, value) in object {
                match (key.as_str(), value) {
                    ("Ref" | "DependsOn", Value::String(name)) => drop(found.insert(name.clone())),
                    ("Fn::GetAtt", Value::Array(list)) => drop(found.insert(list[0].as_str().unwrap().to_owned())),
                    ("Fn::Sub", Value::String(text)) => found.extend(placeholders(text)),
                    ("Fn::Sub", Value::Array(list)) => {
                        let own = list[1].as_object().unwrap();
                        let names = placeholders(list[0].as_str().unwrap());
                        found.extend(names.into_iter().filter(|name| !own.contains_key(name)));
                        collect(&list[1], found);
                    }
                    _ => collect(value, found),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|value| collect(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => (),
    }
}

/// The resources in `${Resource}` and `${Resource.Attribute}`.
fn placeholders(text: &str) -> Vec<String> {
    let ends = text.split("${").skip(1).filter(|rest| !rest.starts_with('!'));
    ends.map(|rest| rest.split(['}', '.']).next().unwrap().to_owned()).collect()
}

fn conditions_of(part: &Value, found: &mut Vec<String>) {
    match part {
        Value::Object(object) => {
            if let Some(Value::Array(choice)) = object.get("Fn::If") {
                found.push(choice[0].as_str().unwrap().to_owned());
            }
            object.values().for_each(|value| conditions_of(value, found));
        }
        Value::Array(list) => list.iter().for_each(|value| conditions_of(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => (),
    }
}

pub fn arn(resource: &str) -> Value {
    json!({ "Fn::GetAtt": [resource, "Arn"] })
}

pub fn reference(name: &str) -> Value {
    json!({ "Ref": name })
}
