"""Reads a SAM template from standard input and writes what CloudFormation makes of it, as JSON.

Arguments: NAME=VALUE for each of the template's parameters.
"""

import json
import os
import sys

os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")

from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

template = yaml_parse(sys.stdin.read())
parameters = dict(argument.split("=", 1) for argument in sys.argv[1:])
json.dump(Translator({}, Parser()).translate(template, parameters), sys.stdout, indent=2)
