# SPDX-License-Identifier: Apache-2.0
# Shows Doxygen a file as the reference is to have it, line by line. EXCLUDE_SYMBOLS would not do:
# it hides no functions, and knows no exceptions.

# The namespace detail is not for users, except for what tokens and operations inherit from there.
s,^namespace detail [{],&/** @cond */,
s,^class (token|operation)_handle [{],/** @endcond */ /** What all of them share. */ &,
/class (token|operation)_handle [{]/,/^[}];/ s,^[}];,&/** @cond */,
s,^[}]  // namespace detail,/** @endcond */&,

# Nor are friends, but for operators. (HIDE_FRIEND_COMPOUNDS hides those, too.)
s,^ +friend [^(]+;,,

# There is one specialisation only; as such, no `operation::hold()` in a docstring would find it.
s,^class operation<R[(]P[.]{3}[)]> ,class operation ,

# Doxygen does not see what members it knows already are defined here, if they have ref-qualifiers.
/^template <class R>$/ {
    N
    /\ntemplate / {
        :more
        N
        /\n[}]$/ !b more
        s,[^\n],,g
    }
}

# Links of the README begin at the root of the tree.
s,\[([^][]*)\]\(((apps|bench|include|lib|test)[^)]*|[A-Z]+[.]md)\),<a href="../../../\2">\1</a>,g
