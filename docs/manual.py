#!/usr/bin/env python3
"""The manual, made of the comments of include/forq.h.

    docs/manual.py include/forq.h DIRECTORY     writes man pages: forq(3), and one for each function, to DIRECTORY/man3
    docs/manual.py --doxygen include/forq.h     prints the header as Doxygen wants it (docs/Doxyfile calls this)
    docs/manual.py --functions include/forq.h   lists the functions
    docs/manual.py --codes include/forq.h       lists the functions, each with the codes that its page names

It ends with an error if a function's page would not say what a parameter or a code is.
"""

import datetime
import os
import re
import sys
import textwrap

# The object of a section, where it is not the word that its functions begin with.
OBJECTS = {"forq_pipe": "forq_connection", "forq_wait": "forq_connection"}


class Function:
    def __init__(self, text, comment, section):
        self.comment = comment
        self.section = section
        flat = " ".join(text.split())
        self.result, self.name, rest = re.match(r"(.*?)\b(forq_\w+)\((.*)\);$", flat).groups()
        self.parameters = [p.strip() for p in re.split(r",(?![^(]*\))", rest) if p.strip() != "void"]
        self.result = self.result.strip()

    @staticmethod
    def name_of(parameter):
        pointer = re.search(r"\(\*(\w+)\)", parameter)
        return (pointer or re.search(r"(\w+)(?:\[\d+\])?$", parameter)).group(1)

    def paragraphs(self):
        return paragraphs(self.comment)

    def split(self):
        """What it does, and what it returns: from the first "Returns" on; all of it where nothing says so."""
        does, returns = [], []
        for paragraph in self.paragraphs():
            found = None if returns else re.search(r"(?:(?<=^)|(?<=[.:] ))(?:[Oo]f a map: r|R)eturns? ", paragraph)
            if returns:
                returns.append(paragraph)
            elif found:
                if paragraph[: found.start()].strip():
                    does.append(paragraph[: found.start()].strip())
                returns.append(paragraph[found.start() :])
            else:
                does.append(paragraph)
        return does, returns


def paragraphs(comment):
    return [" ".join(p.split()) for p in re.split(r"\n\s*\n", comment) if p.strip()]


def uncomment(text):
    return "\n".join(re.sub(r"^\s*\* ?", "", line) for line in text.strip("\n").split("\n")).strip()


class Header:
    def __init__(self, path):
        self.text = open(path, encoding="utf-8").read()
        self.first, self.body = re.match(r"/\*(.*?)\n \*/\n(.*)", self.text, re.S).groups()
        self.first = "\n".join(re.sub(r"^ \* ?", "", line) for line in self.first.split("\n")).strip()
        self.version = ".".join(re.findall(r"#define FORQ_VERSION_\w+ (\d+)", self.text))
        self.codes = dict(re.findall(r"^ +-(E[A-Z]+) +(.*)$", self.first, re.M))
        table = self.first[self.first.index("Parameters that say") :]
        self.words = dict(re.findall(r"^ {4}(\w+) {2,}(.*)$", table, re.M))
        self.functions, self.types, self.sections = [], {}, []
        section = None
        pieces = re.finditer(
            r"/\* ==== (?P<section>.*?) ==== \*/|/\*\*(?P<comment>(?:(?!\*/).)*)\*/\n"
            r"(?P<item>typedef struct[^;{]*\{.*?^\}[^;]*;|[^#\s][^;{]*;|#define[^\n]*)",
            self.body,
            re.S | re.M,
        )
        for piece in pieces:
            if piece["section"]:
                section = piece["section"]
                self.sections.append(section)
                continue
            comment, item = uncomment(piece["comment"]), piece["item"]
            if item.startswith("typedef"):
                name = re.search(r"(?:\(\*|\b)(forq_\w+)\)?(?:\([^;]*)?;$", item, re.S).group(1)
                self.types[name] = (comment, section, item)
            elif not item.startswith("#"):
                self.functions.append(Function(item, comment, section))
        self.by_name = {f.name: f for f in self.functions}

    def object_of(self, function):
        if function.name in OBJECTS or function.name.startswith("forq_pipe"):
            return OBJECTS.get(function.name, "forq_connection")
        found = [n for n in self.types if function.name.startswith(n + "_")]
        here = [n for n in found if self.types[n][1] == function.section]
        if here:
            return max(here, key=len)
        named = [n for n, (_, s, item) in self.types.items() if s == function.section and "(*" not in item]
        return named[0] if named else None

    def words_of(self, noun, seen=()):
        """What is said of an object: its own words, and those that they send the reader to."""
        own = paragraphs(self.types[noun][0])
        further = []
        for other in re.findall(r"is said at (forq_\w+)", " ".join(own)):
            if other in self.types and other not in seen:
                further += self.words_of(other, seen + (noun,))
        return own + further

    def codes_of(self, function, seen=()):
        """The codes of its own words, and of the functions that it returns as."""
        text = " ".join(function.paragraphs())
        codes = set(re.findall(r"-(E[A-Z]+)", text))
        for other in re.findall(r"\bas (forq_\w+)", text):
            if other in self.by_name and other not in seen and other != function.name:
                codes |= self.codes_of(self.by_name[other], seen + (function.name,))
        if re.search(r"Returns as that", text):
            for other in re.findall(r"as (forq_\w+)", text):
                codes |= self.codes_of(self.by_name[other], seen + (function.name,))
        collection = re.match(r"forq_(manager|list|dict)_", function.name)
        if collection and function.result == "int":
            codes |= {"EDEADLK", "EPROTO", "EINVAL"}
        # The meaning of a negative time is said once, for all.
        if any(function.name_of(p) == "timeout_ns" for p in function.parameters):
            codes.add("EINVAL")
        return codes

    def meaning(self, function, parameter):
        name = function.name_of(parameter)
        words = " ".join(function.paragraphs())
        own = re.search(r"(?:^|[.;] )" + name + r": (.*?)(?:\.(?= |$)|; (?=\w+: ))", words)
        if own:
            return own.group(1)
        if name == "timeout_ns":
            return "nanoseconds of the monotonic clock to wait at most: FORQ_FOREVER waits for ever, 0 only tries"
        if parameter == function.parameters[0] and re.search(r"\bforq_\w+ \*\w$", parameter):
            kind = re.search(r"\b(forq_\w+) \*\w$", parameter).group(1)
            return f"the {kind}" + ("; NULL does nothing" if function.name.endswith("_free") else "")
        if name in self.words:
            return self.words[name]
        if name.endswith("_out_or_null"):
            return "where the result goes, or NULL"
        if name.endswith("size_out") and "EMSGSIZE" in words:
            return "where the size goes; with -EMSGSIZE the size that would be needed"
        if name.endswith("_out"):
            mentioned = re.search(r"\b" + name + r"\b[^.;]*\b(?:may be|is) NULL", words)
            return "where the result goes" + (", or NULL" if mentioned else "; written only on success")
        if name.endswith("_or_null"):
            base = self.words.get(name[: -len("_or_null")])
            return (base + "; or NULL") if base else "may be NULL"
        if name.endswith("_size"):
            return f"the bytes of {name[:-5]}"
        if name.endswith("_capacity"):
            return f"the bytes of room at {name[:-9]}_out"
        if re.search(r"\b" + re.escape(name), words):
            return "see above"
        if re.search(r"\bforq_\w+ \*\w+$", parameter):
            return "the " + re.search(r"\b(forq_\w+) \*\w+$", parameter).group(1)
        return None


def complaints(header):
    found = []
    for function in header.functions:
        for parameter in function.parameters:
            if header.meaning(function, parameter) is None:
                found.append(f"{function.name}: nothing says what {function.name_of(parameter)} is")
        words = " ".join(function.paragraphs())
        if not words:
            found.append(f"{function.name}: no words")
        noun = header.object_of(function)
        if noun and not re.search(r"(?i)\b(death|die|dies|killed|dead)\b", " ".join(header.words_of(noun))):
            found.append(f"{function.name}: nothing says what a death does to a {noun}")
        codes = header.codes_of(function)
        for code in codes - set(header.codes):
            found.append(f"{function.name}: the first comment has no {code}")
        if function.result == "int" and not codes and not re.search(r"(?i)return|\b1\b", words):
            found.append(f"{function.name}: nothing says what it returns")
        for other in re.findall(r"\bforq_\w+\b", words):
            if other not in header.by_name and other not in header.types:
                found.append(f"{function.name}: there is no {other}")
    return found


def roff(text):
    text = text.replace("\\", "\\e").replace("-E", "\\-E")
    text = re.sub(r"(?<![\w\\])-(?=\d)", r"\\-", text)
    return text


def lines(text):
    """Each sentence begins a line, and no line begins as a request does."""
    for sentence in re.split(r"(?<=[.;:]) (?=[A-Z(\\-])", text):
        for line in textwrap.wrap(roff(sentence), 78, break_long_words=False, break_on_hyphens=False):
            yield ("\\&" if line[:1] in ".'" else "") + line


def verbatim(text):
    return [".Bd -literal", *[("\\&" if x[:1] in (".", "'") else "") + roff(x) for x in text.split("\n")], ".Ed"]


def example_of(name):
    """The example program of an object."""
    noun = {"forq_connection": "pipe", "forq_list": "manager", "forq_dict": "dict_by_name", "forq_value": "array"}
    file = noun.get(name, (name or "").replace("forq_", "")) + ".c"
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "c-examples")
    return f"c-examples/{file}" if os.path.exists(os.path.join(root, file)) else None


def page(header, function, date):
    does, returns = function.split()
    everything = function.paragraphs()
    summary = re.split(r"(?<=[^.])[.:;](?: |$)", everything[0])[0]
    summary = summary[:1].lower() + summary[1:] if summary[1:2].islower() else summary
    out = [f".Dd {date}", f".Dt {function.name.upper()} 3", f".Os forq {header.version}"]
    out += [".Sh NAME", f".Nm {function.name}", f".Nd {roff(summary)}"]
    out += [".Sh LIBRARY", "forq (pkg-config forq)"]
    out += [".Sh SYNOPSIS", ".In forq.h", f".Ft {function.result}"]
    out += [f".Fo {function.name}"]
    out += [f'.Fa "{p}"' for p in function.parameters or ["void"]]
    out += [".Fc", ".Sh DESCRIPTION"]
    for i, paragraph in enumerate(does or everything):
        out += [".Pp"] if i else []
        out += lines(paragraph)
    if function.parameters:
        out += [".Pp", "The parameters:", ".Bl -tag -width Ds"]
        for parameter in function.parameters:
            out += [f".It Fa {function.name_of(parameter)}", *lines(header.meaning(function, parameter).strip() + ".")]
        out += [".El"]
    noun = header.object_of(function)
    if noun:
        out += [f".Ss {noun}: what it is, and what a death does"]
        for i, paragraph in enumerate(header.words_of(noun)):
            out += [".Pp"] if i else []
            out += lines(paragraph)
    elif function.result == "int":
        out += [".Ss What a death does", "Nothing that others see is changed by a process that dies in this call."]
    out += [".Sh RETURN VALUES"]
    if function.result == "void":
        out += ["None."]
    for i, paragraph in enumerate(returns or ([] if function.result == "void" else everything)):
        out += [".Pp"] if i else []
        out += lines(paragraph)
    example = example_of(noun)
    if example:
        out += [".Sh EXAMPLES", f"See {example} in the sources."]
    codes = header.codes_of(function)
    if codes and function.result != "void":
        out += [".Sh ERRORS", "Codes are returned negative;", ".Va errno", "is left as it was.", ".Bl -tag -width Er"]
        for code in header.codes:
            if code in codes:
                out += [f".It Bq Er {code}", *lines(header.codes[code] + ".")]
        out += [".El"]
    others = [f for f in header.functions if f.section == function.section and f is not function]
    out += [".Sh SEE ALSO", ".Xr forq 3" + (" ," if others else "")]
    others.sort(key=lambda f: f.name)
    for i, other in enumerate(others):
        out += [f".Xr {other.name} 3" + (" ," if i + 1 < len(others) else "")]
    return "\n".join(out) + "\n"


def first_page(header, date):
    out = [f".Dd {date}", ".Dt FORQ 3", f".Os forq {header.version}", ".Sh NAME", ".Nm forq"]
    title, rest = header.first.split("\n", 1)
    out += [f".Nd {title.split(': ', 1)[1].rstrip('.')}", ".Sh SYNOPSIS", ".In forq.h", ".Pp", "cc app.c $(pkg-config \\-\\-cflags \\-\\-libs forq)"]
    out += [".Sh DESCRIPTION"]
    first = True
    for block in re.split(r"\n\s*\n", rest.strip("\n")):
        if block.startswith("    "):
            out += verbatim(re.sub(r"(?m)^ {4}", "", block))
            continue
        out += [] if first else [".Pp"]
        first = False
        prose, table = [], []
        for line in block.split("\n"):
            if line.startswith("    "):
                if prose:
                    out += lines(" ".join(prose))
                    prose = []
                table.append(line[4:])
            else:
                if table:
                    out += verbatim("\n".join(table))
                    table = []
                prose.append(line)
        out += lines(" ".join(prose)) if prose else []
        out += verbatim("\n".join(table)) if table else []
    for section in header.sections:
        out += [f".Ss {section}"]
        here = [f for f in header.functions if f.section == section]
        for i, function in enumerate(here):
            out += [f".Xr {function.name} 3" + (" ," if i + 1 < len(here) else "")]
    return "\n".join(out) + "\n"


def doxygen(header):
    """The first comment becomes the main page, headings become groups, and what Doxygen would take for its own is escaped."""
    title, rest = header.first.split("\n", 1)
    print(f"/** \\mainpage {title}\n\\verbatim\n{rest.strip(chr(10))}\n\\endverbatim\n*/")
    print("/** \\file forq.h\n * The C face of forq. */")
    opened = False
    for line in header.body.split("\n"):
        heading = re.match(r"/\* ==== (.*?) ==== \*/", line)
        if heading:
            print("/** @} */" if opened else "")
            key = re.sub(r"\W+", "_", heading.group(1)).lower()
            print(f"/** \\defgroup {key} {heading.group(1)}\n * @{{ */")
            opened = True
        elif re.match(r"^ *\* ", line):
            print(re.sub(r"([@\\<>#])", r"\\\1", line))
        else:
            if opened and line.startswith("#ifdef __cplusplus"):
                print("/** @} */")
                opened = False
            print(line)


def main(arguments):
    path = arguments[1] if len(arguments) > 2 and arguments[1][0] != "-" else arguments[-1]
    header = Header(path)
    found = complaints(header)
    for complaint in found:
        print(f"{path}: {complaint}", file=sys.stderr)
    if found:
        return 1
    if arguments[1] == "--doxygen":
        doxygen(header)
    elif arguments[1] == "--functions":
        print("\n".join(sorted(header.by_name)))
    elif arguments[1] == "--codes":
        for function in header.functions:
            print(function.name, *sorted(header.codes_of(function)))
    else:
        folder = os.path.join(arguments[2], "man3")
        os.makedirs(folder, exist_ok=True)
        when = int(os.environ.get("SOURCE_DATE_EPOCH", os.path.getmtime(path)))
        day = datetime.datetime.fromtimestamp(when, datetime.timezone.utc)
        date = f"{day:%B} {day.day}, {day.year}"
        for function in header.functions:
            with open(os.path.join(folder, function.name + ".3"), "w", encoding="utf-8") as file:
                file.write(page(header, function, date))
        with open(os.path.join(folder, "forq.3"), "w", encoding="utf-8") as file:
            file.write(first_page(header, date))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
