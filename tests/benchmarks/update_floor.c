// The floor of `speed.py`: a whole DQN update of the reference work in plain C, with nothing around it.
// A 4-24-24-2 ReLU network, a batch of 64, both forward passes, backward and Adam, in single precision, on one core.
// An array of activations is [features][BATCH], so that the compiler vectorises over the batch.
// cc -O3 -march=native -mprefer-vector-width=512 -ffast-math -o update_floor update_floor.c -lm
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BATCH = 64, INPUTS = 4, HIDDEN = 24, ACTIONS = 2, UPDATES = 200000, COPY_INTERVAL = 500 };
enum { PARAMETERS = INPUTS * HIDDEN + HIDDEN + HIDDEN * HIDDEN + HIDDEN + HIDDEN * ACTIONS + ACTIONS };

typedef struct { float *weight1, *bias1, *weight2, *bias2, *weight3, *bias3; } Network;

static float online[PARAMETERS], target[PARAMETERS], gradient[PARAMETERS], mean[PARAMETERS], square[PARAMETERS];
static float obs[INPUTS * BATCH], next_obs[INPUTS * BATCH], reward[BATCH], terminated[BATCH];
static float hidden1[HIDDEN * BATCH], hidden2[HIDDEN * BATCH], q_values[ACTIONS * BATCH];
static float d_hidden1[HIDDEN * BATCH], d_hidden2[HIDDEN * BATCH], d_q_values[ACTIONS * BATCH];
static int action[BATCH];

static Network view(float *p) {
  Network n;
  n.weight1 = p, n.bias1 = n.weight1 + INPUTS * HIDDEN;
  n.weight2 = n.bias1 + HIDDEN, n.bias2 = n.weight2 + HIDDEN * HIDDEN;
  n.weight3 = n.bias2 + HIDDEN, n.bias3 = n.weight3 + HIDDEN * ACTIONS;
  return n;
}

static inline void layer(const float *w, const float *b, int outputs, int inputs, const float *x, float *y, int relu) {
  for (int h = 0; h < outputs; h++) {
    float sum[BATCH];
    for (int j = 0; j < BATCH; j++) sum[j] = b[h];
    for (int i = 0; i < inputs; i++) {
      float weight = w[h * inputs + i];
      for (int j = 0; j < BATCH; j++) sum[j] += weight * x[i * BATCH + j];
    }
    if (relu) for (int j = 0; j < BATCH; j++) y[h * BATCH + j] = sum[j] > 0 ? sum[j] : 0;
    else for (int j = 0; j < BATCH; j++) y[h * BATCH + j] = sum[j];
  }
}

static inline void forward(Network n, const float *x) {
  layer(n.weight1, n.bias1, HIDDEN, INPUTS, x, hidden1, 1);
  layer(n.weight2, n.bias2, HIDDEN, HIDDEN, hidden1, hidden2, 1);
  layer(n.weight3, n.bias3, ACTIONS, HIDDEN, hidden2, q_values, 0);
}

static inline void weight_gradient(const float *dy, const float *x, int outputs, int inputs, float *dw, float *db) {
  for (int h = 0; h < outputs; h++) {
    float bias = 0;
    for (int j = 0; j < BATCH; j++) bias += dy[h * BATCH + j];
    db[h] = bias;
    for (int i = 0; i < inputs; i++) {
      float weight = 0;
      for (int j = 0; j < BATCH; j++) weight += dy[h * BATCH + j] * x[i * BATCH + j];
      dw[h * inputs + i] = weight;
    }
  }
}

static inline void input_gradient(const float *w, const float *dy, int outputs, int inputs, const float *x, float *dx) {
  for (int i = 0; i < inputs; i++) {
    float sum[BATCH];
    for (int j = 0; j < BATCH; j++) sum[j] = 0;
    for (int h = 0; h < outputs; h++) {
      float weight = w[h * inputs + i];
      for (int j = 0; j < BATCH; j++) sum[j] += weight * dy[h * BATCH + j];
    }
    for (int j = 0; j < BATCH; j++) dx[i * BATCH + j] = x[i * BATCH + j] > 0 ? sum[j] : 0;
  }
}

static float uniform(void) { return rand() / (float)RAND_MAX; }

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

int main(void) {
  srand(0);
  for (int i = 0; i < PARAMETERS; i++) online[i] = target[i] = (uniform() - .5f) * .2f;
  for (int i = 0; i < INPUTS * BATCH; i++) obs[i] = uniform(), next_obs[i] = uniform();
  for (int j = 0; j < BATCH; j++) reward[j] = 1, terminated[j] = 0, action[j] = rand() % ACTIONS;
  Network n = view(online), bootstrap = view(target), d = view(gradient);
  double beta1 = 1, beta2 = 1, started = now();
  for (int update = 0; update < UPDATES; update++) {
    float wanted[BATCH];
    forward(bootstrap, next_obs);
    for (int j = 0; j < BATCH; j++) {
      float best = q_values[j] > q_values[BATCH + j] ? q_values[j] : q_values[BATCH + j];
      wanted[j] = reward[j] + .99f * best * (1 - terminated[j]);
    }
    forward(n, obs);
    for (int j = 0; j < BATCH; j++) {
      for (int a = 0; a < ACTIONS; a++) d_q_values[a * BATCH + j] = 0;
      d_q_values[action[j] * BATCH + j] = 2.f / BATCH * (q_values[action[j] * BATCH + j] - wanted[j]);
    }
    weight_gradient(d_q_values, hidden2, ACTIONS, HIDDEN, d.weight3, d.bias3);
    input_gradient(n.weight3, d_q_values, ACTIONS, HIDDEN, hidden2, d_hidden2);
    weight_gradient(d_hidden2, hidden1, HIDDEN, HIDDEN, d.weight2, d.bias2);
    input_gradient(n.weight2, d_hidden2, HIDDEN, HIDDEN, hidden1, d_hidden1);
    weight_gradient(d_hidden1, obs, HIDDEN, INPUTS, d.weight1, d.bias1);
    beta1 *= .9, beta2 *= .999;
    float step = 1e-3 / (1 - beta1), correction = 1 / (1 - beta2);
    for (int i = 0; i < PARAMETERS; i++) {
      float g = gradient[i];
      mean[i] = .9f * mean[i] + .1f * g;
      square[i] = .999f * square[i] + .001f * g * g;
      online[i] -= step * mean[i] / (sqrtf(square[i] * correction) + 1e-8f);
    }
    if (update % COPY_INTERVAL == 0) memcpy(target, online, sizeof online);
  }
  printf("%.2f us/update  (first parameter %f)\n", (now() - started) / UPDATES, online[0]);
}
