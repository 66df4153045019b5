/* Reductions on the CPU: everything that is measured of a tensor in one pass over it.

   Compiled by setup.py for Linux and macOS, without any library behind it; `kernels.py` loads and explains it. Written
   with vectors of 16 numbers, which the compiler makes of whatever the processor has. What is rare takes a second pass
   over a block, while that is still in the innermost cache: zeros, subnormal and non-finite values are counted in one,
   and values whose sums would lose digits in float (large, small, or nearly all the same) are summed up in double.

   Large tensors are taken in parts, by several threads where there are some. The parts do not depend on how many there
   are, and what they give is put together in their order: so neither does a result. */

#include <stdint.h>

#define EXPORT __attribute__((visibility("default")))

enum { SUM, SQUARES, ZEROS, NONFINITE, SATURATED, SUBNORMAL, LARGEST, SPREAD, COMPARED, COLUMNS };

enum {
    LANES = 16,
    BLOCK = 1024,    /* values between two looks at what is rare: 4 KiB */
    TILE = 2048,     /* columns that are summed up side by side: their sums stay in the innermost cache */
    TOGETHER = 4,    /* rows that are read for one access to the sums of their columns */
    ROWS = 512,      /* rows whose magnitudes are summed up in float */
    RUN = 128,       /* values of a unit side by side from which on each unit is summed up by itself */
    BINS = 1024,
    WAYS = 4,        /* in which a sample is taken */
    PARTS = 64,      /* of one tensor, at most */
    SHARE = 1 << 16, /* values from which on a part of an activation or a gradient is worth it */
    POSITIONS = 64,  /* positions of each unit for which it is, since a part has sums of its own for all units */
    SPARE = 1 << 19, /* doubles for those sums, two a unit, of all parts but the first: 4 MiB */
};
#define MAGNITUDE 0x7fffffff
#define INFINITE 0x7f800000
#define HUGE_ 0x7a000000  /* 1.7e35: a block of larger ones may be too large for a sum in float */
#define LARGE 0x58800000  /* 2^50: the same of their squares */
#define SMALL 0x24000000  /* 2^-55: squares of smaller ones vanish */
#define NONE __builtin_nanf("")
#define CANCELS 0.98      /* mean^2 / mean square from which on the variance is lost in float */
#define AHEAD 2048        /* values: far enough that the memory has answered when they are wanted */

typedef float Floats __attribute__((vector_size(4 * LANES), aligned(4)));
typedef int32_t Ints __attribute__((vector_size(4 * LANES), aligned(4)));
typedef double Doubles __attribute__((vector_size(8 * LANES)));

static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static inline Floats load(const float *x) { return *(const Floats *)x; }
static inline Ints magnitudes(Floats x) { return (Ints)x & MAGNITUDE; }
static inline Doubles widened(Floats x) { return __builtin_convertvector(x, Doubles); }

static inline int32_t magnitude(float x) {
    int32_t bits;
    __builtin_memcpy(&bits, &x, 4);
    return bits & MAGNITUDE;
}

static inline float as_float(int32_t bits) {
    float x;
    __builtin_memcpy(&x, &bits, 4);
    return x;
}

static inline double sum_of_doubles(Doubles v) {
#pragma unroll
    for (int half = LANES / 2; half; half /= 2)
#pragma unroll
        for (int i = 0; i < half; i++) v[i] += v[i + half];
    return v[0];
}

static inline double sum_of_floats(Floats v) { return sum_of_doubles(widened(v)); }

static inline int64_t sum_of_ints(Ints v) {
    int64_t total = 0;
    for (int i = 0; i < LANES; i++) total += v[i];
    return total;
}

/* Threads: those of the OpenMP runtime that PyTorch computes with, which wait for work between its operations anyway.
   All of them are asked for every time, since GNU's runtime ends and starts some where their number changes. */
typedef void Team(void (*work)(void *), void *job, unsigned threads, unsigned flags);
static Team *team;

EXPORT void tv_use_team(Team *found) { team = found; }

typedef struct Job {
    void (*part)(struct Job *job, int64_t number);
    int64_t parts, begun;
} Job;

static void take_parts(void *given) {
    Job *job = given;
    for (int64_t i; (i = __atomic_fetch_add(&job->begun, 1, __ATOMIC_RELAXED)) < job->parts;) job->part(job, i);
}

static void do_all(Job *job, int64_t values) {
    if (team && job->parts > 1 && values >= 2 * SHARE)
        team(take_parts, job, 0, 0);
    else
        take_parts(job);
}

/* Values of a magnitude below that of these bits. */
static int64_t below(const float *x, int64_t n, int32_t limit) {
    Ints found = {0};
    int64_t i = 0, rest = 0;
    for (; i + LANES <= n; i += LANES) found -= magnitudes(load(x + i)) < limit;
    for (; i < n; i++) rest += magnitude(x[i]) < limit;
    return rest + sum_of_ints(found);
}

static void add_largest(double *row, int32_t bits) {
    double largest = as_float(bits);
    if (largest != largest || largest > row[LARGEST]) row[LARGEST] = largest;
}

/* Whether sums of n values in float are good to some 1e-6. */
static int are_exact(double total, double square, int64_t n, int32_t largest) {
    return !largest || (largest < LARGE && largest > SMALL && total * total < CANCELS * square * n);
}

static void sum_up(const float *x, int64_t n, double *total, double *square) {
    Doubles sum = {0}, squares = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        Doubles w = widened(load(x + i));
        sum += w;
        squares += w * w;
    }
    *total += sum_of_doubles(sum);
    *square += sum_of_doubles(squares);
    for (; i < n; i++) {
        double w = x[i];
        *total += w;
        *square += w * w;
    }
}

/* Sum, squares, largest magnitude, zeros, non-finite values; nonzero values below `tiny`, the smallest normal number of
   the format the values came in. Where `unit` is given, the zeros and the sum of magnitudes are added to it too.
   Returns where the block begins that has the largest magnitude. */
static int64_t add_run(const float *x, int64_t n, float tiny, double *row, double *unit) {
    int32_t limit = tiny > 0 ? magnitude(tiny) : 1, high = 0;
    int64_t place = 0;
    for (int64_t start = 0; start < n; start += BLOCK) {
        const float *block = x + start;
        int64_t size = least(BLOCK, n - start), i = 0;
        Floats sum = {0}, squares = {0}, sizes = {0}, other_sum = {0}, other_squares = {0};
        Ints largest = {0}, smallest = largest + MAGNITUDE;
        for (; i + 2 * LANES <= size; i += 2 * LANES) {
            Floats v = load(block + i), w = load(block + i + LANES);
            Ints m = magnitudes(v), k = magnitudes(w);
            __builtin_prefetch(block + i + AHEAD, 0, 2);
            __builtin_prefetch(block + i + LANES + AHEAD, 0, 2);
            sum += v;
            other_sum += w;
            squares += v * v;
            other_squares += w * w;
            if (unit) sizes += (Floats)m + (Floats)k;
            smallest = __builtin_elementwise_min(smallest, __builtin_elementwise_min(m, k));
            largest = __builtin_elementwise_max(largest, __builtin_elementwise_max(m, k));
        }
        double total = sum_of_floats(sum) + sum_of_floats(other_sum);
        double square = sum_of_floats(squares) + sum_of_floats(other_squares), size_sum = sum_of_floats(sizes);
        int32_t low = __builtin_reduce_min(smallest), most = __builtin_reduce_max(largest);
        for (; i < size; i++) {
            double w = block[i];
            int32_t m = magnitude(block[i]);
            total += w;
            square += w * w;
            size_sum += as_float(m);
            low = m < low ? m : low;
            most = m > most ? m : most;
        }
        if (!are_exact(total, square, size, most)) {
            total = square = 0;
            sum_up(block, size, &total, &square);
        }
        if (unit && most >= HUGE_) {
            size_sum = 0;
            for (i = 0; i < size; i++) size_sum += as_float(magnitude(block[i]));
        }
        row[SUM] += total;
        row[SQUARES] += square;
        if (low < limit) {
            int64_t zeros = low ? 0 : below(block, size, 1);
            row[ZEROS] += zeros;
            if (unit) unit[0] += zeros;
            if (limit > 1) row[SUBNORMAL] += below(block, size, limit) - zeros;
        }
        if (unit) unit[1] += size_sum;
        if (most >= INFINITE) row[NONFINITE] += size - below(block, size, INFINITE);
        if (most > high) high = most, place = start;
    }
    add_largest(row, high);
    return place;
}

/* What units did, of which each has `inner` columns side by side. */
typedef struct {
    int64_t units, inner;
    double *fired, *sizes;
} Units;

static void add_columns(Units of, const float *sizes, const int32_t *zeros, int64_t first, int64_t n, int64_t rows) {
    int64_t unit = first / of.inner % of.units, inside = first % of.inner;
    if (of.inner == 1) {
        for (int64_t i = 0, some; i < n; i += some, unit = 0) {
            some = least(n - i, of.units - unit);
            for (int64_t k = 0; k < some; k++) of.fired[unit + k] += (int32_t)rows - zeros[i + k];
            for (int64_t k = 0; k < some; k++) of.sizes[unit + k] += sizes[i + k];
        }
        return;
    }
    for (int64_t i = 0; i < n;) {
        int64_t stop = least(n, i + of.inner - inside), silent = 0, all = (stop - i) * rows;
        double size = 0;
        for (; i < stop; i++) silent += zeros[i], size += sizes[i];
        of.fired[unit] += all - silent;
        of.sizes[unit] += size;
        inside = 0;
        if (++unit == of.units) unit = 0;
    }
}

/* One vector of columns in some rows. */
typedef struct {
    Floats sum, squares, sizes;
    Ints zeros, largest;
} Stack;

static inline void add_vector(Stack *s, const float *x, int64_t ahead) {
    Floats v = load(x);
    Ints m = magnitudes(v);
    __builtin_prefetch(x + ahead, 0, 2);
    s->sum += v;
    s->squares += v * v;
    s->sizes += (Floats)m;
    s->zeros -= m == 0;
    s->largest = __builtin_elementwise_max(s->largest, m);
}

/* One tile: up to ROWS rows of up to TILE columns. */
static void add_tile(const float *x, int64_t rows, int64_t stride, int64_t first, int64_t n, Units of, double *row) {
    float sizes[TILE];
    int32_t zeros[TILE];
    for (int64_t i = 0; i < n; i++) sizes[i] = 0, zeros[i] = 0;
    Doubles sum = {0}, squares = {0};
    Stack s = {0};
    int64_t whole = n / LANES * LANES;
    double total = 0, square = 0;
    int32_t most = 0;
    for (int64_t r = 0; r < rows; r += TOGETHER) {
        const float *at = x + r * stride + first;
        int64_t several = least(TOGETHER, rows - r);
        s.sum = s.squares = (Floats){0};
        for (int64_t i = 0; i < whole; i += LANES) {
            s.sizes = *(Floats *)(sizes + i);
            s.zeros = *(Ints *)(zeros + i);
            if (several == TOGETHER) {
#pragma unroll
                for (int k = 0; k < TOGETHER; k++) add_vector(&s, at + k * stride + i, TOGETHER * stride);
            } else {
                for (int64_t k = 0; k < several; k++) add_vector(&s, at + k * stride + i, 0);
            }
            *(Floats *)(sizes + i) = s.sizes;
            *(Ints *)(zeros + i) = s.zeros;
        }
        sum += widened(s.sum);
        squares += widened(s.squares);
        for (int64_t k = 0; k < several; k++)
            for (int64_t i = whole; i < n; i++) {
                double w = at[k * stride + i];
                int32_t m = magnitude(at[k * stride + i]);
                total += w;
                square += w * w;
                sizes[i] += as_float(m);
                zeros[i] += m == 0;
                most = m > most ? m : most;
            }
    }
    total += sum_of_doubles(sum);
    square += sum_of_doubles(squares);
    int32_t high = __builtin_reduce_max(s.largest);
    most = high > most ? high : most;
    if (!are_exact(total, square, rows * n, most)) {
        total = square = 0;
        for (int64_t r = 0; r < rows; r++) sum_up(x + r * stride + first, n, &total, &square);
    }
    if (most >= INFINITE)
        for (int64_t r = 0; r < rows; r++) row[NONFINITE] += n - below(x + r * stride + first, n, INFINITE);
    int64_t silent = 0;
    for (int64_t i = 0; i < n; i++) silent += zeros[i];
    row[SUM] += total;
    row[SQUARES] += square;
    row[ZEROS] += silent;
    add_largest(row, most);
    if (most < HUGE_) {
        add_columns(of, sizes, zeros, first, n, rows);
        return;
    }
    for (int64_t i = 0; i < n; i++) sizes[i] = 0;
    add_columns(of, sizes, zeros, first, n, rows);
    for (int64_t i = 0; i < n; i++) {
        double size = 0;
        for (int64_t r = 0; r < rows; r++) size += as_float(magnitude(x[r * stride + first + i]));
        of.sizes[(first + i) / of.inner % of.units] += size;
    }
}

/* x: [rows, units, inner]; fired, sizes: [units], values that are not zero and sums of magnitudes. */
static void add_rows(const float *x, int64_t rows, int64_t units, int64_t inner, double *fired, double *sizes,
                     double *row) {
    /* Rows too narrow for vectors are taken side by side. */
    int64_t width = units * inner, fold = width < 4 * LANES && rows >= LANES ? LANES : 1;
    int64_t folded = rows / fold, stride = width * fold, rest = rows - folded * fold;
    Units of = {units, inner, fired, sizes};
    for (int64_t r = 0; r < folded; r += ROWS)
        for (int64_t first = 0; first < stride; first += TILE)
            add_tile(x + r * stride, least(ROWS, folded - r), stride, first, least(TILE, stride - first), of, row);
    for (int64_t first = 0; rest && first < width; first += TILE)
        add_tile(x + folded * stride, rest, width, first, least(TILE, width - first), of, row);
}

/* Values at or beyond the limits; NaN is no limit. */
static void add_saturated(const float *x, int64_t n, float low, float high, double *row) {
    Ints found = {0};
    int64_t i = 0, rest = 0;
    for (; i + LANES <= n; i += LANES) {
        Floats v = load(x + i);
        found -= (v <= low) | (v >= high);
        if (i % (1 << 30) == 0) rest += sum_of_ints(found), found = (Ints){0};
    }
    for (; i < n; i++) rest += (x[i] <= low) | (x[i] >= high);
    row[SATURATED] += rest + sum_of_ints(found);
}

/* Half the squared differences between elements and those `apart` behind them, of every `distance`-th of `n`. */
static void add_spread(const float *x, int64_t apart, int64_t n, int64_t distance, double *row) {
    double total = 0;
    int64_t i = 0, compared = 0;
    if (distance == 1) {
        Doubles squares = {0};
        for (; i + LANES <= n; i += LANES) {
            Doubles d = widened(load(x + i)) - widened(load(x + i + apart));
            squares += d * d;
        }
        compared = i;
        total = sum_of_doubles(squares);
    }
    for (; i < n; i += distance, compared++) {
        double d = (double)x[i] - x[i + apart];
        total += d * d;
    }
    row[SPREAD] += total / 2;
    row[COMPARED] += compared;
}

/* Positions i * n / size, one after the other. */
typedef struct {
    int64_t size, step, more, at, rest;
} Sample;

static Sample sample_from(int64_t first, int64_t n, int64_t wanted) {
    int64_t size = n;
    if (n > wanted)
        for (size = wanted - 3; n % size == 0;) size -= 2;
    if (!size) return (Sample){0};
    return (Sample){size, n / size, n % size, first * n / size, first * n % size};
}

static inline int64_t next(Sample *s) {
    int64_t at = s->at;
    s->at += s->step;
    s->rest += s->more;
    if (s->rest >= s->size) s->rest -= s->size, s->at++;
    return at;
}

static void skip(Sample *s, int64_t n) {
    s->rest += n * s->more;
    s->at += n * s->step + s->rest / s->size;
    s->rest %= s->size;
}

/* The next so many of a sample. Several at a time: every place waits for the one before it. */
static void take(const float *x, Sample *s, int64_t n, float *out) {
    if (s->step == 1 && !s->more) {
        __builtin_memcpy(out, x + s->at, n * sizeof *x);
        s->at += n;
        return;
    }
    int64_t some = n / WAYS, i = 0;
    Sample ways[WAYS];
    for (int k = 0; k < WAYS; k++, skip(s, some)) ways[k] = *s;
    for (; i < some; i++)
#pragma unroll
        for (int k = 0; k < WAYS; k++) {
            const float *at = x + next(ways + k);
            __builtin_prefetch(at + 32 * s->step, 0, 3);
            out[k * some + i] = *at;
        }
    for (i = WAYS * some; i < n; i++) out[i] = x[next(s)];
}

/* Of a sample: the bins in use, ascending, and how many values are in each. */
static int64_t count_bins(const float *x, int64_t n, int64_t wanted, uint16_t *bins, int32_t *counts) {
    int32_t even[BINS] = {0}, odd[BINS] = {0}; /* two, so that equal neighbours do not wait for each other */
    float sample[BLOCK];
    Sample s = sample_from(0, n, wanted);
    for (int64_t done = 0, some; done < s.size; done += some) {
        some = least(BLOCK, s.size - done);
        take(x, &s, some, sample);
        for (int64_t i = 0; i < some; i++) {
            uint32_t bits;
            __builtin_memcpy(&bits, sample + i, 4);
            (i & 1 ? odd : even)[bits >> 22]++;
        }
    }
    int64_t used = 0;
    for (int b = 0; b < BINS; b++)
        if (even[b] + odd[b]) bins[used] = b, counts[used++] = even[b] + odd[b];
    return used;
}

/* Of one tensor: its units in parts, or its values; then how far examples differ, then its bins, as far as wanted. NaN
   is no limit. */
typedef struct {
    Job job;
    const float *x;
    int64_t outer, units, inner, n;
    float tiny, low, high;
    double *fired, *sizes;
    int64_t apart, compared, distance;
    int64_t wanted, used;
    uint16_t *bins;
    int32_t *counts;
    int64_t parts;
    double (*rows)[COLUMNS]; /* of each part, and of how far examples differ */
} One;

static double spare[SPARE]; /* one is enough: a call holds Python's lock */

/* Rows that parts are made of: whole groups that are read together, or lie side by side for being narrow. */
static int64_t rows_together(const One *one) { return one->units * one->inner < 4 * LANES ? LANES : TOGETHER; }

/* Its part of the units, into sums of its own but for the first. */
static void add_units(const One *one, int64_t i, double *row) {
    int64_t units = one->units, inner = one->inner;
    double *fired = i ? spare + (i - 1) * 2 * units : one->fired, *sizes = i ? fired + units : one->sizes;
    for (int64_t u = 0; i && u < 2 * units; u++) fired[u] = 0;
    if (inner >= RUN) {
        int64_t runs = one->outer * units, stop = runs * (i + 1) / one->parts;
        for (int64_t run = runs * i / one->parts; run < stop; run++) {
            double silent[2] = {0, 0};
            add_run(one->x + run * inner, inner, 0, row, silent);
            fired[run % units] += inner - silent[0];
            sizes[run % units] += silent[1];
        }
        return;
    }
    int64_t together = rows_together(one), groups = (one->outer + together - 1) / together;
    int64_t start = groups * i / one->parts * together;
    int64_t stop = least(one->outer, groups * (i + 1) / one->parts * together);
    add_rows(one->x + start * units * inner, stop - start, units, inner, fired, sizes, row);
}

static void measure_part(Job *job, int64_t i) {
    One *one = (One *)job;
    int64_t blocks = (one->n + BLOCK - 1) / BLOCK, start = blocks * i / one->parts * BLOCK;
    int64_t size = least(one->n, blocks * (i + 1) / one->parts * BLOCK) - start;
    if (i > one->parts) {
        one->used = count_bins(one->x, one->n, one->wanted, one->bins, one->counts);
        return;
    }
    double *row = one->rows[i];
    if (i == one->parts) {
        if (one->compared) add_spread(one->x, one->apart, one->compared, one->distance, row);
        return;
    }
    if (one->fired)
        add_units(one, i, row);
    else
        add_run(one->x + start, size, one->tiny, row, 0);
    if (one->low == one->low || one->high == one->high) add_saturated(one->x + start, size, one->low, one->high, row);
}

static int64_t measure_one(One *one, double *row) {
    double rows[PARTS + 1][COLUMNS];
    one->job.part = measure_part;
    one->rows = rows;
    one->parts = least(PARTS, one->n / SHARE);
    if (one->fired) {
        int64_t pieces = one->inner >= RUN ? one->outer * one->units : one->outer / rows_together(one);
        one->parts = least(least(one->parts, pieces), one->outer * one->inner / POSITIONS);
        one->parts = least(one->parts, 1 + SPARE / (2 * one->units));
    }
    if (one->parts < 1) one->parts = 1;
    one->job.parts = one->parts + 1 + (one->wanted > 0);
    for (int64_t i = 0; i <= one->parts; i++)
        for (int c = 0; c < COLUMNS; c++) one->rows[i][c] = 0;
    do_all(&one->job, one->n);
    for (int64_t i = 0; i <= one->parts; i++) {
        double largest = row[LARGEST], here = one->rows[i][LARGEST];
        for (int c = 0; c < COLUMNS; c++) row[c] += one->rows[i][c];
        row[LARGEST] = here != here || here > largest ? here : largest;
    }
    for (int64_t i = 1; one->fired && i < one->parts; i++)
        for (int64_t u = 0; u < one->units; u++) {
            one->fired[u] += spare[(i - 1) * 2 * one->units + u];
            one->sizes[u] += spare[(i - 1) * 2 * one->units + one->units + u];
        }
    return one->used;
}

/* One tensor. Its bins are counted where some are wanted; returns how many are in use. */
EXPORT int64_t tv_add_values(const float *x, int64_t n, float tiny, int64_t wanted, uint16_t *bins, int32_t *counts,
                             double *row) {
    One one = {.x = x, .n = n, .tiny = tiny, .low = NONE, .high = NONE, .wanted = wanted, .bins = bins,
               .counts = counts};
    return measure_one(&one, row);
}

/* The spread is that of `compared` elements; what the others are is said at `One`, `add_rows` and `add_spread`. */
EXPORT int64_t tv_add_activation(const float *x, int64_t outer, int64_t units, int64_t inner, double *fired,
                                 double *sizes, int64_t apart, int64_t compared, int64_t distance, int64_t wanted,
                                 uint16_t *bins, int32_t *counts, float low, float high, double *row) {
    One one = {.x = x, .outer = outer, .units = units, .inner = inner, .n = outer * units * inner, .low = low,
               .high = high, .fired = fired, .sizes = sizes, .apart = apart, .compared = compared,
               .distance = distance, .wanted = wanted,
               .bins = bins, .counts = counts};
    return measure_one(&one, row);
}

/* A part of one of many tensors: from `start` to `stop`; the `first` of the tensor's sample that lies in it, how many
   do, and their place among those of all; the place of the tensor's bins. */
typedef struct {
    int64_t tensor, start, stop, first, sampled, sample, bins;
} Part;

typedef struct {
    Job job;
    const float *const *x;
    const int64_t *n;
    const Part *parts;
    int64_t wanted, bins_wanted;
    double *found; /* [parts, COLUMNS], or [parts] */
    int64_t *places;
    uint16_t *bins;
    int32_t *counts;
    float *samples;
    const double *before;
    const int64_t *before_places;
    int64_t differ;
} Many;

static Sample sample_of(const Many *many, const Part *part) {
    return sample_from(part->first, many->n[part->tensor], many->wanted);
}

static int64_t values_in(const Part *parts, int64_t number) {
    int64_t values = 0;
    for (int64_t i = 0; i < number; i++) values += parts[i].stop - parts[i].start;
    return values;
}

static void measure_many(Job *job, int64_t i) {
    Many *many = (Many *)job;
    const Part *part = many->parts + i;
    const float *x = many->x[part->tensor];
    int64_t n = many->n[part->tensor];
    double *row = many->found + i * COLUMNS;
    int64_t at = part->start + add_run(x + part->start, part->stop - part->start, 0, row, 0);
    int64_t end = least(at + BLOCK, part->stop);
    while (at < end - 1 && as_float(magnitude(x[at])) < row[LARGEST]) at++;
    many->places[i] = at;
    if (many->bins && part->stop == n) { /* no bin is behind the last one, or there is none left */
        int64_t used = count_bins(x, n, many->bins_wanted, many->bins + part->bins, many->counts + part->bins);
        if (used < least(n, BINS)) many->counts[part->bins + used] = 0;
    }
    if (many->samples) {
        Sample s = sample_of(many, part);
        take(x, &s, part->sampled, many->samples + part->sample);
    }
}

/* Of many tensors, in parts: the row of each, and where its largest magnitude is; its bins, one behind the other, those
   of each up to its end; a sample, one behind the other. Bins and samples are left out where there is no place for
   them. `found` and `places` are of the parts, and `found` holds zeros. */
EXPORT void tv_measure(const float *const *x, const int64_t *n, const Part *parts, int64_t number, double *found,
                       int64_t *places, double *rows, int64_t *largest, int64_t bins_wanted, uint16_t *bins,
                       int32_t *counts, int64_t *ends, int64_t wanted, float *samples) {
    Many many = {.job = {.part = measure_many, .parts = number}, .x = x, .n = n, .parts = parts, .wanted = wanted,
                 .bins_wanted = bins_wanted, .found = found, .places = places, .bins = bins, .counts = counts,
                 .samples = samples};
    do_all(&many.job, values_in(parts, number));
    int64_t used = 0;
    for (int64_t i = 0; i < number; i++) {
        int64_t t = parts[i].tensor;
        double *row = rows + t * COLUMNS, *part = found + i * COLUMNS;
        double most = row[LARGEST], here = part[LARGEST];
        for (int c = 0; c < COLUMNS; c++) row[c] += part[c];
        row[LARGEST] = most;
        if (!parts[i].start || (most == most && !(here <= most))) row[LARGEST] = here, largest[t] = places[i];
        if (bins && parts[i].stop == n[t]) {
            for (int64_t b = parts[i].bins, end = b + least(n[t], BINS); b < end && counts[b]; b++, used++)
                bins[used] = bins[b], counts[used] = counts[b];
            ends[t] = used;
        }
    }
}

static void compare_many(Job *job, int64_t i) {
    Many *many = (Many *)job;
    const Part *part = many->parts + i;
    const float *x = many->x[part->tensor];
    if (__atomic_load_n(&many->differ, __ATOMIC_RELAXED)) return;
    int differ = 0;
    int64_t place = many->before_places[part->tensor];
    if (part->start <= place && place < part->stop) {
        double size = as_float(magnitude(x[place]));
        differ = __builtin_memcmp(&size, many->before + part->tensor * COLUMNS + LARGEST, sizeof size);
    }
    float now[BLOCK];
    Sample s = sample_of(many, part);
    for (int64_t k = 0; k < part->sampled && !differ; k += BLOCK) {
        int64_t some = least(BLOCK, part->sampled - k);
        take(x, &s, some, now);
        differ = __builtin_memcmp(now, many->samples + part->sample + k, some * sizeof *now);
    }
    if (differ) __atomic_store_n(&many->differ, 1, __ATOMIC_RELAXED);
}

/* Whether samples, and what is where the largest magnitudes were, are the same to the bit. */
EXPORT int64_t tv_are_same(const float *const *x, const int64_t *n, const Part *parts, int64_t number,
                           const double *rows, const int64_t *largest, int64_t wanted, float *before) {
    Many many = {.job = {.part = compare_many, .parts = number}, .x = x, .n = n, .parts = parts, .wanted = wanted,
                 .samples = before, .before = rows, .before_places = largest};
    do_all(&many.job, values_in(parts, number));
    return !many.differ;
}

static void change_many(Job *job, int64_t i) {
    Many *many = (Many *)job;
    const Part *part = many->parts + i;
    const float *before = many->samples + part->sample;
    Sample s = sample_of(many, part);
    double total = 0;
    float now[BLOCK];
    for (int64_t done = 0; done < part->sampled; done += BLOCK, before += BLOCK) {
        int64_t some = least(BLOCK, part->sampled - done), k = 0;
        take(many->x[part->tensor], &s, some, now);
        Doubles sum = {0};
        for (; k + LANES <= some; k += LANES) {
            Doubles d = widened(load(now + k)) - widened(load(before + k));
            sum += d * d;
        }
        total += sum_of_doubles(sum);
        for (; k < some; k++) {
            double d = (double)now[k] - before[k];
            total += d * d;
        }
    }
    many->found[i] = total;
}

/* Sums of the squared changes since the samples were taken; `found` is of the parts. */
EXPORT void tv_changes(const float *const *x, const int64_t *n, const Part *parts, int64_t number, int64_t wanted,
                       float *before, double *found, double *squares) {
    Many many = {.job = {.part = change_many, .parts = number}, .x = x, .n = n, .parts = parts, .wanted = wanted,
                 .found = found, .samples = before};
    do_all(&many.job, values_in(parts, number));
    for (int64_t i = 0; i < number; i++) squares[parts[i].tensor] += found[i];
}
